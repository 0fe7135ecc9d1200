"""Errors of framing and of the estimated camera, and the corrections that undo them."""

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from panohead.geometry import Camera
from panohead.geometry.camera import FOCAL, RADIUS
from panohead.inversion.camera_refinement import moved

# Standard deviations at strength 1. Shifts are in image sides; sizes are logarithms of factors.
_SHIFT, _SIZE, _ROLL_DEG, _CAMERA_DEG = 0.03, 0.06, 3.0, 5.0
_MAX_DEVIATIONS = 2.5
_EYES = (0.0, 0.065, 0.17)
"""Middle between the eyes of the mean head, world units."""
_HEAD_WIDTH = 0.38  # world units
_FRONT_DEG = 50.0


@dataclass(frozen=True)
class Reframing:
    """Similarity of the image plane: content is scaled and rotated about the center, then shifted.

    Attributes:
        shift: in image sides, right and down.
        size: factor.
        roll: radians, clockwise.
    """

    shift: Float[np.ndarray, "photo 2"]
    size: Float[np.ndarray, " photo"]
    roll: Float[np.ndarray, " photo"]

    def offset(self) -> Float[np.ndarray, "photo 3"]:
        """Return the camera's motion along its own axes (right, down, forward) of nearly the same effect, world units.

        Exact for points at the distance of the world's origin; the roll is left out.
        """
        forward = RADIUS * (1 - 1 / self.size)
        # The camera moves against the content: by a shift times the distance that is left, over the focal length.
        aside = -self.shift * ((RADIUS - forward) / FOCAL)[:, None]
        return np.concatenate([aside, forward[:, None]], axis=1)


def sample_framing(count: int, strength: float, rng: np.random.Generator) -> Reframing:
    """Return random framings; strength 0 gives none."""
    draws = rng.standard_normal((count, 4)).clip(-_MAX_DEVIATIONS, _MAX_DEVIATIONS) * strength
    return Reframing(draws[:, :2] * _SHIFT, np.exp(draws[:, 2] * _SIZE), np.radians(draws[:, 3] * _ROLL_DEG))


def reframe(
    layers: Float[Tensor, "photo channel height width"], framing: Reframing, mode: str = "bilinear"
) -> Float[Tensor, "photo channel height width"]:
    """Apply framings to images; what comes in at the border repeats the border. ``mode`` "nearest" mixes no labels."""
    if not framing.shift.any() and (framing.size == 1).all() and not framing.roll.any():
        return layers
    cos, sin = np.cos(framing.roll) / framing.size, np.sin(framing.roll) / framing.size
    # Where an output pixel p comes from, in coordinates from -1 to 1: R^T (p - 2 shift) / size.
    inverse = np.stack([np.stack([cos, sin], -1), np.stack([-sin, cos], -1)], 1)  # photo 2 2
    origin = -(inverse @ (2 * framing.shift)[..., None])
    theta = torch.from_numpy(np.concatenate([inverse, origin], axis=2)).float()
    grid = F.affine_grid(theta, list(layers.shape), align_corners=False)
    return F.grid_sample(layers, grid, mode=mode, padding_mode="border", align_corners=False)


def misjudge_cameras(
    label: Float[Tensor, "photo 25"], strength: float, rng: np.random.Generator
) -> tuple[Float[Tensor, "photo 25"], Float[Tensor, "photo 2"]]:
    """Return cameras turned by random yaw and pitch, and the yaw and pitch (degrees) that turn them back."""
    draws = rng.standard_normal((len(label), 2)).clip(-_MAX_DEVIATIONS, _MAX_DEVIATIONS) * (strength * _CAMERA_DEG)
    error = torch.from_numpy(draws).float()
    if not draws.any():
        return label, error
    still = torch.zeros(3)
    turned = [
        moved(Camera.from_label(one), torch.cat([angles, still])).to_label()
        for one, angles in zip(label, error, strict=True)
    ]
    return torch.stack(turned), -error


def face_center(label: Float[Tensor, " 25"]) -> tuple[float, float, float] | None:
    """Return where the middle between the eyes lies in an image (x, y) and the size of a head's width there (all in
    image sides); None where it is not seen from the front."""
    pose = label[:16].reshape(4, 4)
    position = pose[:3, 3]
    if float(position[2] / position.norm()) < math.cos(math.radians(_FRONT_DEG)):
        return None
    eyes = pose[:3, :3].T @ (torch.tensor(_EYES) - position)
    x, y, distance = eyes.tolist()
    return 0.5 + FOCAL * x / distance, 0.5 + FOCAL * y / distance, FOCAL * _HEAD_WIDTH / distance
