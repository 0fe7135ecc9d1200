"""Random geometric and color transforms as matrices, one per sample (ADA, Karras et al. 2020, appendix B).

Every transform with parameter 0 is exactly the identity; transforms that are not drawn get the parameter 0.
"""

import math
from functools import reduce

import torch
from jaxtyping import Float
from torch import Tensor

from panohead.training.augmentation.config import AugmentConfig


class RandomParameters:
    """Random parameters of transforms; 0 unless the transform is drawn.

    The count of numbers taken from ``generator`` depends on neither probability nor multipliers. So a larger
    probability adds transforms to those of a smaller one, and excluding one transform does not change the others.
    """

    def __init__(self, batch: int, probability: float, generator: torch.Generator) -> None:
        self.batch = batch
        self.probability = probability
        self.generator = generator

    def probability_of(self, multiplier: float) -> float:
        """Return the probability of a transform with this multiplier, at most 1."""
        return min(self.probability * multiplier, 1.0)

    def uniform(self, probability: float, limit: float, count: int = 1) -> Float[Tensor, "batch count"]:
        """Draw parameters uniform in [-limit, limit)."""
        return self._gated(probability, (self._uniform(count) * 2 - 1) * limit)

    def normal(self, probability: float, deviation: float, count: int = 1) -> Float[Tensor, "batch count"]:
        """Draw normal parameters with mean 0."""
        shape = (self.batch, count)
        values = torch.randn(shape, device=self.generator.device, generator=self.generator)
        return self._gated(probability, values * deviation)

    def choice(self, probability: float, options: int) -> Float[Tensor, "batch 1"]:
        """Draw one of 0, 1 ... options - 1, all equally likely."""
        return self._gated(probability, (self._uniform(1) * options).floor())

    def _uniform(self, count: int) -> Tensor:
        return torch.rand((self.batch, count), device=self.generator.device, generator=self.generator)

    def _gated(self, probability: float, values: Tensor) -> Tensor:
        # One decision per sample, whatever the count of its parameters: batch 1 against batch count.
        return torch.where(self._uniform(1) < probability, values, 0.0)


def geometric_matrices(
    batch: int, pixels: int, *, probability: float, config: AugmentConfig, generator: torch.Generator
) -> Float[Tensor, "batch 3 3"]:
    """Draw geometric transforms: homogeneous matrices from a pixel of the augmented image to its source.

    Coordinates (x right, y down) run from -1 to 1 between the image's edges, so one matrix serves every resolution.

    Args:
        batch: number of samples.
        pixels: resolution per side to whose whole pixels integer translations are rounded.
        probability: probability of every transform before its multiplier, [0, 1].
        config: multipliers and strengths.
        generator: source of random numbers, on the device of the result.
    """
    random = RandomParameters(batch, probability, generator)
    multipliers, strengths = config.multipliers, config.strengths
    flip = random.choice(random.probability_of(multipliers.x_flip), 2)
    quarters = random.choice(random.probability_of(multipliers.quarter_turn), 4)
    whole = random.uniform(random.probability_of(multipliers.integer_translation), strengths.integer_translation, 2)
    scale = random.normal(random.probability_of(multipliers.isotropic_scale), strengths.scale_log2)
    # Two independent rotations, before and after the stretch; 1 - (1 - p')^2 = p, so that p is that of at least one.
    rotation = 1 - math.sqrt(1 - random.probability_of(multipliers.rotation))
    before = random.uniform(rotation, math.radians(strengths.rotation_deg))
    stretch = random.normal(random.probability_of(multipliers.anisotropic_scale), strengths.anisotropic_log2)
    after = random.uniform(rotation, math.radians(strengths.rotation_deg))
    part = random.normal(random.probability_of(multipliers.fractional_translation), strengths.fractional_translation, 2)
    # An image undergoes these in this order; the sources of its pixels follow from the inverses in the same order.
    inverses = [
        # Coordinates are half widths: a shift of one width is 2.
        _scaling(1 - 2 * flip, torch.ones_like(flip)),
        _quarter_turn(quarters),
        _translation(-2 * (whole * pixels).round() / pixels),
        _scaling(torch.exp2(-scale), torch.exp2(-scale)),
        _rotation(-before),
        _scaling(torch.exp2(-stretch), torch.exp2(stretch)),
        _rotation(-after),
        _translation(-2 * part),
    ]
    return reduce(_compose, inverses)


def color_matrices(
    batch: int, *, probability: float, config: AugmentConfig, generator: torch.Generator
) -> Float[Tensor, "batch 4 4"]:
    """Draw color transforms: homogeneous matrices of colors (red, green, blue in [-1, 1], and 1).

    Args:
        batch: number of samples.
        probability: probability of every transform before its multiplier, [0, 1].
        config: multipliers and strengths.
        generator: source of random numbers, on the device of the result.
    """
    random = RandomParameters(batch, probability, generator)
    multipliers, strengths = config.multipliers, config.strengths
    brightness = random.normal(random.probability_of(multipliers.brightness), strengths.brightness)[:, :, None]
    contrast = random.normal(random.probability_of(multipliers.contrast), strengths.contrast_log2)[:, :, None]
    flip = random.choice(random.probability_of(multipliers.luma_flip), 2)[:, :, None]
    hue = random.uniform(random.probability_of(multipliers.hue), math.radians(strengths.hue_deg))[:, :, None]
    saturation = random.normal(random.probability_of(multipliers.saturation), strengths.saturation_log2)[:, :, None]

    eye = torch.eye(3, device=brightness.device)
    gray = torch.full_like(eye, 1 / 3)  # projection onto the gray axis v v^T, v = (1, 1, 1) / sqrt(3)
    x = 1 / math.sqrt(3)
    # Cross product with the gray axis, [[0, -x, x], [x, 0, -x], [-x, x, 0]], made on the device.
    cross = x * (eye.roll(1, dims=0) - eye.roll(1, dims=1))
    no_offset = torch.zeros_like(brightness).expand(-1, 3, -1)  # batch 3 1
    transforms = [
        _homogeneous(eye.expand(batch, 3, 3), brightness.expand(-1, 3, -1)),
        _homogeneous(eye * torch.exp2(contrast), no_offset),
        # Reflection of the luma: Householder matrix I - 2 v v^T.
        _homogeneous(eye - 2 * gray * flip, no_offset),
        # Rotation about the gray axis, Rodrigues' formula with [v]^2 = v v^T - I.
        _homogeneous(eye + cross * hue.sin() + (gray - eye) * (1 - hue.cos()), no_offset),
        # The part off the gray axis is scaled.
        _homogeneous(eye * torch.exp2(saturation) + gray * (1 - torch.exp2(saturation)), no_offset),
    ]
    # Colors undergo them in this order: later matrices stand on the left.
    return reduce(lambda earlier, later: _compose(later, earlier), transforms)


def _scaling(x: Float[Tensor, "batch 1"], y: Float[Tensor, "batch 1"]) -> Float[Tensor, "batch 3 3"]:
    return torch.diag_embed(torch.cat([x, y, torch.ones_like(x)], dim=1))


def _rotation(angle: Float[Tensor, "batch 1"]) -> Float[Tensor, "batch 3 3"]:
    cos, sin = angle.cos(), angle.sin()
    linear = torch.stack([torch.cat([cos, -sin], dim=1), torch.cat([sin, cos], dim=1)], dim=1)
    return _homogeneous(linear, torch.zeros_like(linear[:, :, :1]))


def _quarter_turn(quarters: Float[Tensor, "batch 1"]) -> Float[Tensor, "batch 3 3"]:
    """Return rotations by exact multiples of 90 degrees."""
    # Sines and cosines of these angles are 0 and +-1 up to rounding errors.
    angle = quarters * (math.pi / 2)
    return _rotation(angle).round()


def _translation(shift: Float[Tensor, "batch 2"]) -> Float[Tensor, "batch 3 3"]:
    eye = torch.eye(2, device=shift.device).expand(len(shift), 2, 2)
    return _homogeneous(eye, shift[:, :, None])


def _homogeneous(
    linear: Float[Tensor, "batch size size"], offset: Float[Tensor, "batch size 1"]
) -> Float[Tensor, "batch size+1 size+1"]:
    last = torch.zeros_like(linear[:, :1])
    corner = torch.ones_like(offset[:, :1])
    return torch.cat([torch.cat([linear, offset], dim=2), torch.cat([last, corner], dim=2)], dim=1)


def _compose(
    a: Float[Tensor, "batch size size"], b: Float[Tensor, "batch size size"]
) -> Float[Tensor, "batch size size"]:
    """Return the matrix product, in full precision whatever ``torch.backends`` allows matrix products."""
    return (a[:, :, :, None] * b[:, None, :, :]).sum(dim=2)
