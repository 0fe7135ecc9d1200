"""Random geometric and colour transforms as matrices, one per sample (ADA, Karras et al. 2020, appendix B).

Every transform is written so that the parameter 0 leaves a picture alone, exactly: what is not drawn is 0.
"""

import math
from functools import reduce

import torch
from jaxtyping import Float
from torch import Tensor

from panohead.training.augmentation.config import AugmentConfig


class Chance:
    """Random parameters that are 0 unless their transform is drawn.

    How many numbers are taken from ``generator`` depends on neither probability nor multipliers. So a larger
    probability adds transforms to those of a smaller one, and an ablation leaves the other transforms as they were.
    """

    def __init__(self, batch: int, probability: float, generator: torch.Generator) -> None:
        self.batch = batch
        self.probability = probability
        self.generator = generator

    def of(self, multiplier: float) -> float:
        """The probability of a transform."""
        return min(self.probability * multiplier, 1.0)

    def uniform(self, probability: float, limit: float, count: int = 1) -> Float[Tensor, "batch count"]:
        """Uniform in [-limit, limit)."""
        return self._gated(probability, (self._uniform(count) * 2 - 1) * limit)

    def normal(self, probability: float, deviation: float, count: int = 1) -> Float[Tensor, "batch count"]:
        """Normal with mean 0."""
        shape = (self.batch, count)
        values = torch.randn(shape, device=self.generator.device, generator=self.generator)
        return self._gated(probability, values * deviation)

    def choice(self, probability: float, options: int) -> Float[Tensor, "batch 1"]:
        """One of 0, 1 ... options - 1, all equally likely."""
        return self._gated(probability, (self._uniform(1) * options).floor())

    def _uniform(self, count: int) -> Tensor:
        return torch.rand((self.batch, count), device=self.generator.device, generator=self.generator)

    def _gated(self, probability: float, values: Tensor) -> Tensor:
        return torch.where(self._uniform(1) < probability, values, 0.0)


def geometric_matrices(
    batch: int, pixels: int, *, probability: float, config: AugmentConfig, generator: torch.Generator
) -> Float[Tensor, "batch 3 3"]:
    """From where a pixel of the augmented picture lies to where it comes from, homogeneous (x right, y down).

    Coordinates run from -1 to 1 between the picture's edges, so the same matrix serves every resolution.

    Args:
        pixels: a side; integer translations are rounded to it.
    """
    chance = Chance(batch, probability, generator)
    often, strong = config.multipliers, config.strengths
    flip = chance.choice(chance.of(often.x_flip), 2)
    quarters = chance.choice(chance.of(often.quarter_turn), 4)
    whole = chance.uniform(chance.of(often.integer_translation), strong.integer_translation, 2)
    scale = chance.normal(chance.of(often.isotropic_scale), strong.scale_log2)
    # Turned before or after the stretch: either with this probability is one of both with the transform's.
    rotation = 1 - math.sqrt(1 - chance.of(often.rotation))
    before = chance.uniform(rotation, math.radians(strong.rotation_deg))
    stretch = chance.normal(chance.of(often.anisotropic_scale), strong.anisotropic_log2)
    after = chance.uniform(rotation, math.radians(strong.rotation_deg))
    part = chance.normal(chance.of(often.fractional_translation), strong.fractional_translation, 2)
    # A picture takes these in this order; its pixels' sources are found by the inverses, multiplied in the same order.
    inverses = [
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
    """What colours (red, green, blue in [-1, 1], and 1) are multiplied by."""
    chance = Chance(batch, probability, generator)
    often, strong = config.multipliers, config.strengths
    brightness = chance.normal(chance.of(often.brightness), strong.brightness)[:, :, None]
    contrast = chance.normal(chance.of(often.contrast), strong.contrast_log2)[:, :, None]
    flip = chance.choice(chance.of(often.luma_flip), 2)[:, :, None]
    hue = chance.uniform(chance.of(often.hue), math.radians(strong.hue_deg))[:, :, None]
    saturation = chance.normal(chance.of(often.saturation), strong.saturation_log2)[:, :, None]

    eye = torch.eye(3, device=brightness.device)
    grey = torch.full_like(eye, 1 / 3)  # projection onto the grey axis
    x = 1 / math.sqrt(3)
    cross = eye.new_tensor([[0, -x, x], [x, 0, -x], [-x, x, 0]])  # cross product with the grey axis
    still = torch.zeros_like(brightness).expand(-1, 3, -1)
    transforms = [
        _homogeneous(eye.expand(batch, 3, 3), brightness.expand(-1, 3, -1)),
        _homogeneous(eye * torch.exp2(contrast), still),
        _homogeneous(eye - 2 * grey * flip, still),
        _homogeneous(eye + cross * hue.sin() + (grey - eye) * (1 - hue.cos()), still),
        _homogeneous(eye * torch.exp2(saturation) + grey * (1 - torch.exp2(saturation)), still),
    ]
    return reduce(lambda earlier, later: _compose(later, earlier), transforms)


def _scaling(x: Float[Tensor, "batch 1"], y: Float[Tensor, "batch 1"]) -> Float[Tensor, "batch 3 3"]:
    return torch.diag_embed(torch.cat([x, y, torch.ones_like(x)], dim=1))


def _rotation(angle: Float[Tensor, "batch 1"]) -> Float[Tensor, "batch 3 3"]:
    cos, sin = angle.cos(), angle.sin()
    linear = torch.stack([torch.cat([cos, -sin], dim=1), torch.cat([sin, cos], dim=1)], dim=1)
    return _homogeneous(linear, torch.zeros_like(linear[:, :, :1]))


def _quarter_turn(quarters: Float[Tensor, "batch 1"]) -> Float[Tensor, "batch 3 3"]:
    """Rotation by exact multiples of 90 degrees."""
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
    """The matrix product, in full precision whatever ``torch.backends`` allow matrix products."""
    return (a[:, :, :, None] * b[:, None, :, :]).sum(dim=2)
