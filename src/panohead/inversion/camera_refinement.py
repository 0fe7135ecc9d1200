"""Refinement of the photos' cameras: yaw, pitch and translation beside the estimate, with a Gaussian prior."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from panohead.geometry import Camera
from panohead.inversion.photo import AlignedPhoto

NUMBERS = 5
"""Numbers of an offset: yaw, pitch, and translation right, down and forward."""
# Prior standard deviations of yaw and pitch, and of the translation, by the camera's source.
_DEVIATION_DEG = {"given": 2.0, "face": 4.0, "angles": 8.0, "coarse": 12.0}
_DEVIATION_WORLD = {"given": 0.02, "face": 0.04, "angles": 0.08, "coarse": 0.08}


class CameraRefinement:
    """Offsets of the photos' cameras in prior deviations: an offset of 1 is the usual error of such a camera.

    Args:
        photos: photos with the cameras to refine.
        device: device of the offsets.

    Attributes:
        offsets: "photo 5", yaw and pitch (rotations about the world's origin) and the translation along the camera's
            axes (right, down, forward).
        prior_deviation: "photo 5", standard deviations of the offsets in degrees and world units.
    """

    def __init__(self, photos: Sequence[AlignedPhoto], device: torch.device | str) -> None:
        self._cameras = [photo.camera.to(device) for photo in photos]
        deviation = [[_DEVIATION_DEG[p.kind]] * 2 + [_DEVIATION_WORLD[p.kind]] * 3 for p in photos]
        self.prior_deviation = torch.tensor(deviation, device=device)
        self.offsets = torch.zeros(len(photos), NUMBERS, device=device)

    def cameras(self) -> list[Camera]:
        """Return the refined cameras, differentiable in ``offsets``."""
        return [moved(c, o) for c, o in zip(self._cameras, self.offsets * self.prior_deviation, strict=True)]

    def prior(self) -> Float[Tensor, ""]:
        """Return the mean squared offset in prior deviations (a negative log prior, up to a factor)."""
        return self.offsets.square().mean()


def moved(camera: Camera, offset: Float[Tensor, " 5"]) -> Camera:
    """Rotate a camera about the world's origin by (yaw, pitch) in degrees, then translate it along its own axes.

    Args:
        camera: camera without batch dimension.
        offset: yaw, pitch in degrees; right, down, forward in world units.
    """
    yaw, pitch = torch.deg2rad(offset[:2])
    up = torch.tensor([0.0, 1.0, 0.0], device=offset.device)
    # Positive pitch raises the camera: a rotation about its x axis, which points right, by the negative angle.
    turn = rotation(up, yaw) @ rotation(camera.cam2world[:3, 0], -pitch)
    axes = turn @ camera.cam2world[:3, :3]
    position = turn @ camera.cam2world[:3, 3] + axes @ offset[2:]
    upper = torch.cat([axes, position[:, None]], dim=1)  # 3 4: rotation and position of cam2world
    return Camera(torch.cat([upper, camera.cam2world[3:]]), camera.intrinsics)


def rotation(axis: Float[Tensor, " 3"], angle: Float[Tensor, ""]) -> Float[Tensor, "3 3"]:
    """Return the rotation by ``angle`` radians about a unit axis: I + sin(a) K + (1 - cos(a)) K^2 (Rodrigues)."""
    zero = torch.zeros_like(axis[0])
    cross = torch.stack([zero, -axis[2], axis[1], axis[2], zero, -axis[0], -axis[1], axis[0], zero]).reshape(3, 3)
    return torch.eye(3, device=axis.device) + torch.sin(angle) * cross + (1 - torch.cos(angle)) * cross @ cross
