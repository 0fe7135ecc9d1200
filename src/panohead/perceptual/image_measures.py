"""Measures of a frontal image of a head by its pixels: lightness of skin and hair, amount of hair, width of the neck.

The network that knows heads (:mod:`panohead.perceptual.head_parts`) only says which pixels are which part and where the
landmarks are; no figure here was learned. Images are seen from the front, in the official frame.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from panohead.errors import PanoHeadError
from panohead.perceptual.head_parts import HeadPartsConfig, HeadReading

_FEWEST_PIXELS = 24
"""A part of fewer pixels is not there: a bald head has no color of hair."""


def skin_lightness(
    images: Float[Tensor, "image 3 128 128"], reading: HeadReading, config: HeadPartsConfig
) -> Float[Tensor, "image"]:
    """Return the median CIE L* (0 to 100) of the face's skin and nose; NaN where neither is seen.

    Args:
        images: sRGB, [-1, 1].
        reading: answer of the network to these images.
        config: the network's.
    """
    return _median_lightness(images, reading, config, ("skin", "nose"))


def hair_lightness_seen(
    images: Float[Tensor, "image 3 128 128"], reading: HeadReading, config: HeadPartsConfig
) -> Float[Tensor, "image"]:
    """Return the median CIE L* (0 to 100) of the hair; NaN where there is hardly any. Arguments as above."""
    return _median_lightness(images, reading, config, ("hair",))


def hair_share(reading: HeadReading, config: HeadPartsConfig) -> Float[Tensor, "image"]:
    """Return the share of the image's pixels that are hair, 0 to 1.

    It tells lengths of hair better than the hair's lowest point, which leaves the image at the shoulders.
    """
    return (reading.parts == _number(config.parts, "hair")).float().mean(dim=(1, 2))


def neck_width(reading: HeadReading, config: HeadPartsConfig) -> Float[Tensor, "image"]:
    """Return the width of the neck, where it is widest, over the distance of the irises; NaN where none is seen.

    Long hair covers it.
    """
    neck = reading.parts == _number(config.parts, "neck")
    irises = [_number(config.landmarks, name) for name in ("iris_left", "iris_right")]
    eyes = (reading.landmarks[:, irises[0]] - reading.landmarks[:, irises[1]]).norm(dim=1)
    width = neck.sum(dim=2).float().amax(dim=1) / eyes.clamp_min(1.0)
    return torch.where(neck.sum(dim=(1, 2)) < _FEWEST_PIXELS, torch.nan, width)


def lightness(rgb: Float[Tensor, "*shape 3"]) -> Float[Tensor, "*shape"]:
    """Return CIE L* (0 to 100, D65) of sRGB colors of 0 to 1."""
    linear = torch.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    luminance = linear @ torch.tensor([0.2126, 0.7152, 0.0722], dtype=rgb.dtype, device=rgb.device)
    return torch.where(luminance <= 216 / 24389, luminance * 24389 / 27, 116 * luminance ** (1 / 3) - 16)


def _median_lightness(images: Tensor, reading: HeadReading, config: HeadPartsConfig, names: Sequence[str]) -> Tensor:
    light = lightness((images.permute(0, 2, 3, 1).clamp(-1, 1) + 1) / 2)
    chosen = torch.zeros_like(reading.parts, dtype=torch.bool)
    for name in names:
        chosen |= reading.parts == _number(config.parts, name)
    values = [one[mask].median() if mask.sum() >= _FEWEST_PIXELS else one.new_tensor(torch.nan)
              for one, mask in zip(light, chosen, strict=True)]  # fmt: skip
    return torch.stack(values)


def _number(known: Sequence[str], name: str) -> int:
    if name not in known:
        raise PanoHeadError(f"this network does not know {name!r}; it knows {', '.join(known)}")
    return known.index(name)
