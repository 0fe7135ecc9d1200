"""Weights of 3 x 3 convolutions, transformed and laid out for ``panohead.ops.cpu.winograd``."""

import functools
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Float64
from torch import Tensor

CHANNEL_MULTIPLE = 16


@dataclass(frozen=True)
class PackedWeight:
    """A transformed weight. Its layout depends on this machine's vector length, so it is never stored in files.

    ``values`` is float32 and four times as large as the weight (more where ``out_channels`` does not fill a panel):
    panels of output channels, 36 points, input channels, channels of the panel. The numbers of channels are those of
    the packed weight: multiples of 16. ``energy`` is the sum of squares of every 3 x 3 kernel; None where not asked
        for.
    """

    values: Float[Tensor, "panel point in_channel lane"]
    energy: Float[Tensor, "given_out_channel given_in_channel"] | None
    in_channels: int
    out_channels: int
    up: bool

    def demodulation(self, style: Float[Tensor, "batch in_channel"]) -> Float[Tensor, "batch out_channel"]:
        """Return 1 / norm of every output filter after its input channels are scaled (StyleGAN2 equation 3)."""
        assert self.energy is not None
        return torch.rsqrt(style.square() @ self.energy.T + 1e-8)


def pack_weight(weight: Float[Tensor, "out_channel in_channel 3 3"], *, energy: bool = True) -> PackedWeight:
    """Transform a weight for :func:`panohead.ops.cpu.winograd.conv3x3_winograd`."""
    return _pack(weight, plain_transform(), up=False, energy=energy)


def pack_up_weight(weight: Float[Tensor, "out_channel in_channel 3 3"], *, energy: bool = True) -> PackedWeight:
    """Transform a weight for :func:`panohead.ops.cpu.winograd.upconv3x3`."""
    return _pack(weight, up_transform(), up=True, energy=energy)


def transposed(weight: Float[Tensor, "out_channel in_channel 3 3"]) -> Float[Tensor, "in_channel out_channel 3 3"]:
    """Return the weight of the input gradient's convolution: channels exchanged, taps reversed."""
    return weight.transpose(0, 1).flip(2, 3)


@functools.cache
def plain_transform() -> Float64[Tensor, "6 3"]:
    """Return the matrix from taps to values at the points, per axis, of a convolution."""
    from panohead.ops.cpu.winograd_kernels import POINTS

    transform = torch.zeros(6, 3, dtype=torch.float64)
    transform[:5] = torch.stack([_evaluation(POINTS, power) for power in range(3)], dim=1)
    transform[5, 2] = 1  # the point at infinity
    return transform


@functools.cache
def up_transform() -> Float64[Tensor, "6 3"]:
    """Return the matrix from taps to points of an up-convolution.

    Even outputs of the transposed convolution are tap 2 of the sample before and tap 0 of their own (five points), odd
    outputs are tap 1 alone.
    """
    from panohead.ops.cpu.winograd_kernels import POINTS

    transform = torch.zeros(6, 3, dtype=torch.float64)
    transform[:5, 2] = _evaluation(POINTS, 0)
    transform[:5, 0] = _evaluation(POINTS, 1)
    transform[5, 1] = 1
    return transform


@functools.cache
def down_transform() -> Float64[Tensor, "6 3"]:
    """Return the matrix of a convolution with stride 2: tap 0 at an even sample, tap 2 at the next, tap 1 between."""
    return up_transform().flip(1)


def _evaluation(points: tuple[float, ...], power: int) -> Float64[Tensor, " point"]:
    """Return ``point**power`` over the product of the distances to the other points (Lagrange's denominators)."""
    x = torch.tensor(points, dtype=torch.float64)
    distances = x[:, None] - x[None, :]
    return x**power / distances.fill_diagonal_(1).prod(dim=1)


def _pack(
    weight: Float[Tensor, "out_channel in_channel 3 3"], transform: Float64[Tensor, "6 3"], *, up: bool, energy: bool
) -> PackedWeight:
    """Apply ``transform`` to both axes of the kernels; channels are padded with zeros to whole panels."""
    from panohead.ops.cpu.simd import NARROW_PANEL, PANEL

    outs, ins = (size + -size % CHANNEL_MULTIPLE for size in weight.shape[:2])
    lanes = NARROW_PANEL if outs <= NARROW_PANEL and NARROW_PANEL % CHANNEL_MULTIPLE == 0 else PANEL
    panels = -(-outs // lanes)
    taps = weight.detach().permute(2, 3, 1, 0)
    if (panels * lanes, ins) != (weight.shape[0], weight.shape[1]):
        taps = F.pad(taps, (0, panels * lanes - weight.shape[0], 0, ins - weight.shape[1]))
    taps = taps.unflatten(3, (panels, lanes)).permute(3, 0, 1, 2, 4).reshape(panels, 9, ins * lanes)
    values = torch.matmul(torch.kron(transform, transform).float(), taps).reshape(panels, 36, ins, lanes)
    squares = weight.detach().square().sum(dim=(2, 3)) if energy else None
    return PackedWeight(values, squares, ins, outs, up)
