"""Statistics of w: mean, standard deviation, and whitened coordinates (docs/reference.md 7.4)."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from panohead.geometry import Camera
from panohead.geometry.camera import default_intrinsics
from panohead.geometry.pose_sampling import look_at_pose
from panohead.models.generator import Generator

_BATCH = 2000  # z mapped at once, for memory
_MIN_SHARE = 1e-4
_OFFICIAL_FRONT = 3.14 / 2
"""Matches the official code: yaw and pitch of the front view with a rounded pi, which changes the mean w by 0.1 %."""


@dataclass(frozen=True)
class WSpace:
    """Statistics of w under random z, conditioned on the front.

    Attributes:
        samples: w of random z.
        mean: mean of w.
        std: root mean squared *distance* to the mean, one number for all dimensions. Matches the official code.
        mean_z: mean of the z; the original computes the camera self-adaptation for it.
    """

    samples: Float[Tensor, "sample w_dim"]
    mean: Float[Tensor, " w_dim"]
    std: float
    mean_z: Float[Tensor, " z_dim"]

    def whitening(self) -> "Whitening":
        """Return coordinates in which the samples have standard deviation 1 in every direction."""
        return Whitening.of_samples(self.samples, self.mean)


@dataclass(frozen=True)
class Whitening:
    """Whitened coordinates of w, along its principal axes.

    Attributes:
        mean: mean of w.
        directions: principal axes, unit vectors.
        deviation: standard deviations along them; those below 1e-4 of the largest are raised to that, so that every w
            can be reached.
    """

    mean: Float[Tensor, " w_dim"]
    directions: Float[Tensor, "axis w_dim"]
    deviation: Float[Tensor, " axis"]

    @classmethod
    def of_samples(cls, samples: Float[Tensor, "sample w_dim"], mean: Float[Tensor, " w_dim"]) -> "Whitening":
        """Return coordinates in which samples have standard deviation 1 in every direction."""
        # Principal axes: the right singular vectors, with standard deviations of singular value / sqrt(samples).
        _, deviation, directions = torch.linalg.svd(samples - mean, full_matrices=False)
        deviation = deviation / max(len(samples), 1) ** 0.5
        return cls(mean, directions, deviation.clamp_min(float(deviation[0]) * _MIN_SHARE))

    def to_w(self, v: Float[Tensor, "*batch axis"]) -> Float[Tensor, "*batch w_dim"]:
        """Return the w of whitened coordinates."""
        return self.mean + (v * self.deviation) @ self.directions

    def from_w(self, w: Float[Tensor, "*batch w_dim"]) -> Float[Tensor, "*batch axis"]:
        """Return the whitened coordinates of w."""
        return (w - self.mean) @ self.directions.T / self.deviation


@torch.no_grad()
def w_space(generator: Generator, *, samples: int = 10_000, seed: int = 123) -> WSpace:
    """Return the statistics of w for z from ``RandomState(seed)``, conditioned on the front view.

    Args:
        generator: generator in eval mode.
        samples: number of z.
        seed: seed of z; 123 matches the official code.
    """
    device = next(generator.parameters()).device
    z = np.random.RandomState(seed).randn(samples, generator.config.z_dim)
    front = look_at_pose(_OFFICIAL_FRONT, _OFFICIAL_FRONT)[0].to(device)
    label = Camera(front, default_intrinsics(device=device)).expand(1).to_label()
    drawn = []
    for part in torch.from_numpy(z).float().split(_BATCH):
        # sample num_ws w_dim -> sample w_dim: without truncation all rows are equal.
        drawn.append(generator.mapping(part.to(device), label.expand(len(part), -1))[:, 0])
    w = torch.cat(drawn)
    exact = w.cpu().double()  # sample w_dim; on the CPU because not every device has float64
    mean = exact.mean(dim=0).to(w)
    std = float(((w - mean).cpu().double().square().sum() / samples).sqrt())
    return WSpace(w, mean, std, torch.from_numpy(z.mean(axis=0)).float().to(device))
