"""Equivariance of alias-free networks: EQ-T, EQ-T of fractions of pixels, EQ-R (Karras et al. 2021).

The Fourier features are moved, and the output is compared with the moved output of the unmoved features. The paper's
images lie in [-1, 1], so that its peak is 2; planes of a tri-grid have no such range, so the peak is four standard
deviations of the output here, about what 2 is for photos.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from panohead.errors import PanoHeadError
from panohead.evaluation.results import Result
from panohead.models.generator import Generator
from panohead.ops.lowpass import jinc, kaiser_beta, kaiser_window
from panohead.stylegan.alias_free import AliasFreeSynthesis

MAX_SHIFT = 0.125
"""Largest translation along either axis, in sides of the image (the paper's)."""
MIN_MEASURED_SIDE = 64
"""Smallest images, in pixels: kernels and moves leave too little of others."""
MOVES = 4
"""Moves of every kind for a head."""
RADIUS = 8
"""Radius of the interpolating kernels, pixels."""
_CUTOFF, _HALF_WIDTH = 0.375, 0.125
"""Band of EQ-R, cycles per pixel: all below 0.25 counts, nothing from 0.5 on, where a rotated grid folds."""
_PEAK = 4.0


@runtime_checkable
class MovableNetwork(Protocol):
    """A network from ws to images whose input signal can be moved."""

    def __call__(
        self, ws: Float[Tensor, "batch num_ws w_dim"], *, motion: Float[Tensor, "3 3"] | None = None
    ) -> Float[Tensor, "batch channel side side"]:
        """Return images whose place p (x, y, 1; sides of the image, from its center) shows what is at motion @ p."""


@dataclass(frozen=True)
class Equivariance:
    """Peak signal-to-noise ratios in decibels; above 50 nothing of the difference is visible.

    Attributes:
        translation: EQ-T, by whole pixels.
        fraction: EQ-T by fractions of pixels.
        rotation: EQ-R, by any angle about the center.
    """

    translation: float
    fraction: float
    rotation: float


@torch.no_grad()
def equivariance(
    network: MovableNetwork, ws: Float[Tensor, "head num_ws w_dim"], *, moves: int = MOVES, seed: int = 0
) -> Equivariance:
    """Measure how exactly a network's output follows its input signal.

    Args:
        network: in eval mode.
        ws: heads over which errors are averaged.
        moves: translations of either kind, and rotations, for every head.
        seed: seed of the moves.

    Raises:
        ValueError: for images of less than 64 pixels, of which kernels and moves leave too little.
    """
    rng = torch.Generator().manual_seed(seed)
    errors: dict[str, list[Tensor]] = {"translation": [], "fraction": [], "rotation": []}
    energy = []
    for head in ws.split(1):
        still = network(head).cpu()
        if still.shape[-1] < MIN_MEASURED_SIDE:
            raise ValueError(
                f"equivariance is measured on {MIN_MEASURED_SIDE} pixels or more, not on {still.shape[-1]}"
            )
        energy.append(still.var())
        for kind, motion, expected, valid in _moves(still, moves, rng):
            found = network(head, motion=motion).cpu()
            if kind == "rotation":
                found = radial_samples(found, _centers(found))
            errors[kind].append((found - expected).square().mean(dim=(0, 1))[valid].mean())
    peak = _PEAK**2 * torch.stack(energy).mean()
    return Equivariance(**{kind: 10 * math.log10(float(peak / torch.stack(e).mean())) for kind, e in errors.items()})


def equivariance_results(
    generator: Generator, ws: Float[Tensor, "head num_ws w_dim"], *, seed: int = 0
) -> list[Result]:
    """Measure a generator's backbone.

    Args:
        generator: in eval mode.
        ws: heads over which errors are averaged.
        seed: seed of the moves.

    Raises:
        PanoHeadError: when the backbone is StyleGAN2's, whose input cannot be moved, or the tri-grid is too small.
    """
    backbone = generator.backbone
    if not isinstance(backbone, AliasFreeSynthesis):
        raise PanoHeadError("the backbone is StyleGAN2's, whose input cannot be moved; stylegan3's can be measured")
    if backbone.config.resolution < MIN_MEASURED_SIDE:
        raise PanoHeadError(
            f"a tri-grid of resolution {backbone.config.resolution} is too small; {MIN_MEASURED_SIDE} can be measured"
        )
    found = equivariance(backbone, ws, seed=seed)
    counts = {"heads": len(ws), "moves": MOVES}
    rows = {"translation": found.translation, "fractional translation": found.fraction, "rotation": found.rotation}
    return [
        Result(metric="equivariance", subset=name, value=value, unit="dB", better="higher", counts=counts)
        for name, value in rows.items()
    ]


def _moves(still: Tensor, count: int, rng: torch.Generator) -> Iterator[tuple[str, Tensor, Tensor, Tensor]]:
    """Yield kind, motion of the input, expected output and its valid pixels "height width" of random moves."""
    side = still.shape[-1]
    limit = MAX_SHIFT * side
    for _ in range(count):
        shift = (torch.rand(2, generator=rng) * 2 - 1) * limit  # pixels, x and y
        whole = shift.round()
        x, y = (int(value) for value in whole)
        valid = _inside(_centers(still) - whole, side, margin=0.5)
        yield "translation", _translation(whole / side), still.roll((y, x), dims=(2, 3)), valid
        valid = _inside(_centers(still) - shift, side, margin=RADIUS)
        yield "fraction", _translation(shift / side), shifted(still, shift), valid
        angle = float(torch.rand((), generator=rng)) * 2 * math.pi
        turn = torch.tensor([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
        sources = (_centers(still) - side / 2) @ turn.T + side / 2
        valid = _inside(sources, side, margin=RADIUS) & _inside(_centers(still), side, margin=RADIUS)
        yield (
            "rotation",
            F.pad(turn, (0, 1, 0, 1)) + torch.diag(turn.new_tensor([0, 0, 1])),
            (radial_samples(still, sources)),
            valid,
        )


def _translation(shift: Float[Tensor, "2"]) -> Float[Tensor, "3 3"]:
    """Return the motion that shows everything moved by ``shift``, in sides of the image."""
    motion = torch.eye(3)
    motion[:2, 2] = -shift
    return motion


def _centers(image: Float[Tensor, "batch channel side side"]) -> Float[Tensor, "side side 2"]:
    """Return the pixels' centers (x, y) in pixels."""
    steps = torch.arange(image.shape[-1]) + 0.5
    y, x = torch.meshgrid(steps, steps, indexing="ij")
    return torch.stack([x, y], dim=-1)


def _inside(places: Float[Tensor, "side side 2"], side: int, *, margin: float) -> Tensor:
    """Return where places are ``margin`` pixels or more from the border, "height width"."""
    return ((places >= margin - 1e-4) & (places <= side - margin + 1e-4)).all(dim=-1)


def shifted(
    image: Float[Tensor, "batch channel side side"], shift: Float[Tensor, "2"]
) -> Float[Tensor, "batch channel side side"]:
    """Return images moved by (x, y) pixels, interpolated by a windowed sinc; zeros come in at the borders."""
    side = image.shape[-1]
    steps = torch.arange(side, dtype=torch.float64)
    window_beta = kaiser_beta(2 * RADIUS, 2 * _HALF_WIDTH, 1.0)
    matrices = []
    for offset in shift.tolist():
        distance = steps[:, None] - offset - steps[None, :]  # target source
        window = torch.from_numpy(kaiser_window(distance.numpy(), RADIUS, window_beta))
        weights = torch.sinc(distance) * window
        total = weights.sum(dim=1, keepdim=True)
        matrices.append((weights / torch.where(total.abs() < 0.5, 1.0, total)).to(image))
    across, down = matrices
    return down @ image @ across.T


def radial_samples(
    image: Float[Tensor, "batch channel side side"], places: Float[Tensor, "height width 2"]
) -> Float[Tensor, "batch channel height width"]:
    """Return images at any places (x, y; pixels), low-passed by a radially symmetric kernel: the same in any direction.

    Pixels outside of the images count as zeros.
    """
    beta = kaiser_beta(2 * RADIUS, 2 * _HALF_WIDTH, 1.0)
    padded = F.pad(image, (RADIUS,) * 4)
    width = padded.shape[-1]
    first = (places - 0.5).floor().long() - (RADIUS - 1)  # the first pixel under the kernel
    total = torch.zeros(places.shape[:2], dtype=torch.float64)
    result = torch.zeros((*image.shape[:2], *places.shape[:2]))
    for index in range((2 * RADIUS) ** 2):
        pixel = first + torch.tensor([index % (2 * RADIUS), index // (2 * RADIUS)])
        distance = (pixel + 0.5 - places).double().norm(dim=-1).numpy()
        weight = torch.from_numpy(jinc(distance, _CUTOFF) * kaiser_window(distance, RADIUS, beta))
        inside = ((pixel >= -RADIUS) & (pixel < width - RADIUS)).all(dim=-1)
        x, y = (pixel + RADIUS).clamp(0, width - 1).unbind(dim=-1)
        result += padded[:, :, y, x] * (weight * inside).to(image)
        total += weight
    return result / total.to(image)
