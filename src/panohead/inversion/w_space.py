"""What w looks like: its mean, its spread, and axes along which it varies alike (facts section 7)."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from panohead.geometry import Camera
from panohead.geometry.camera import default_intrinsics
from panohead.geometry.pose_sampling import look_at_pose
from panohead.models.generator import Generator

_BATCH = 2000
_MIN_SHARE = 1e-4
_OFFICIAL_FRONT = 3.14 / 2
"""With the original's rounded pi; it moves the mean w by a thousandth."""


@dataclass(frozen=True)
class WSpace:
    """Statistics of w under random z, conditioned on the front.

    Attributes:
        samples: of w.
        mean: of w.
        std: the root mean squared *distance* to the mean, one number for all dimensions (kept from the original).
        mean_z: of the latents drawn; the original asks the camera's self-adaptation about it.
    """

    samples: Float[Tensor, "sample w_dim"]
    mean: Float[Tensor, " w_dim"]
    std: float
    mean_z: Float[Tensor, " z_dim"]

    def whitening(self) -> "Whitening":
        """Coordinates in which w varies by about one in every direction."""
        _, deviation, directions = torch.linalg.svd(self.samples - self.mean, full_matrices=False)
        deviation = deviation / max(len(self.samples), 1) ** 0.5
        return Whitening(self.mean, directions, deviation.clamp_min(float(deviation[0]) * _MIN_SHARE))


@dataclass(frozen=True)
class Whitening:
    """Principal axes of w. Deviations below 1e-4 of the largest are raised to that, so every w can be reached."""

    mean: Float[Tensor, " w_dim"]
    directions: Float[Tensor, "axis w_dim"]
    deviation: Float[Tensor, " axis"]

    def to_w(self, v: Float[Tensor, "*batch axis"]) -> Float[Tensor, "*batch w_dim"]:
        """Coordinates to w."""
        return self.mean + (v * self.deviation) @ self.directions

    def from_w(self, w: Float[Tensor, "*batch w_dim"]) -> Float[Tensor, "*batch axis"]:
        """w to coordinates."""
        return (w - self.mean) @ self.directions.T / self.deviation


@torch.no_grad()
def w_space(generator: Generator, *, samples: int = 10_000, seed: int = 123) -> WSpace:
    """Draw w from ``RandomState(seed)``, as the original does."""
    device = next(generator.parameters()).device
    z = np.random.RandomState(seed).randn(samples, generator.config.z_dim)
    front = look_at_pose(_OFFICIAL_FRONT, _OFFICIAL_FRONT)[0].to(device)
    label = Camera(front, default_intrinsics(device=device)).expand(1).to_label()
    drawn = []
    for part in torch.from_numpy(z).float().split(_BATCH):
        drawn.append(generator.mapping(part.to(device), label.expand(len(part), -1))[:, 0])
    w = torch.cat(drawn)
    exact = w.cpu().double()  # not every device has doubles
    mean = exact.mean(dim=0).to(w)
    std = float(((w - mean).cpu().double().square().sum() / samples).sqrt())
    return WSpace(w, mean, std, torch.from_numpy(z.mean(axis=0)).float().to(device))
