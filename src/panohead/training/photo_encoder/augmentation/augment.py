"""The whole augmentation of a batch: geometry first, then everything that happens to a photo, in its natural order."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image, ImageFilter
from torch import Tensor

from panohead.training.photo_encoder.augmentation.capture import add_noise, blur, compress, recolor, relight
from panohead.training.photo_encoder.augmentation.config import PhotoAugmentation
from panohead.training.photo_encoder.augmentation.framing import (
    face_center,
    misjudge_cameras,
    reframe,
    sample_framing,
)
from panohead.training.photo_encoder.augmentation.occluders import (
    dark_glasses,
    put_before,
    random_occluder,
    random_texture,
)

# Shares of the photos at strength 1.
_BACKGROUND, _OCCLUDER, _GLASSES, _BORDER, _WRONG_MASK, _HOLE, _NO_MASK = 0.9, 0.2, 0.05, 0.2, 0.5, 0.1, 0.2


@dataclass(frozen=True)
class AugmentedPhotos:
    """Photos as :meth:`panohead.models.photo_encoder.PhotoEncoder.inputs` takes them, with cameras and corrections.

    Attributes:
        image: [-1, 1].
        mask: share of the head, 0 to 1; ones where the mask is unknown.
        inside: share of every pixel that lies in the photo.
        label: estimated cameras.
        offset: true corrections of these: yaw, pitch in degrees; right, down, forward in world units.
    """

    image: Float[Tensor, "photo 3 height width"]
    mask: Float[Tensor, "photo 1 height width"]
    inside: Float[Tensor, "photo 1 height width"]
    label: Float[Tensor, "photo 25"]
    offset: Float[Tensor, "photo 5"]


def augment(
    pixels: UInt8[Tensor, "photo 4 height width"],
    label: Float[Tensor, "photo 25"],
    offset: Float[Tensor, "photo 3"],
    config: PhotoAugmentation,
    rng: np.random.Generator,
) -> AugmentedPhotos:
    """Augment photos.

    Args:
        pixels: colors and mask, 0..255.
        label: cameras of the official frame.
        offset: motion of the true cameras against these along their own axes, world units.
        config: strengths; 0 for all leaves the photos as they are.
        rng: all random numbers.
    """
    layers = pixels.float() / 255
    framing = sample_framing(len(pixels), config.of("framing"), rng)
    layers = reframe(layers, framing)
    estimated, turn = misjudge_cameras(label, config.of("camera"), rng)
    images, masks, insides = [], [], []
    for one, camera in zip(layers.permute(0, 2, 3, 1).numpy(), label, strict=True):
        photo, mask = one[..., :3], one[..., 3:]
        photo, mask = _stage(photo, mask, camera, config, rng)
        photo = _take(photo, config, rng)
        insides.append(_border(mask, config.of("border"), rng))
        masks.append(_misjudge_mask(mask, config.of("mask"), rng))
        images.append(photo)
    motion = offset + torch.from_numpy(framing.offset()).float()
    offsets = torch.cat([turn, motion], dim=1)
    return AugmentedPhotos(_stacked(images) * 2 - 1, _stacked(masks), _stacked(insides), estimated, offsets)


def _stacked(images: list[np.ndarray]) -> Float[Tensor, "photo channel height width"]:
    return torch.from_numpy(np.stack(images).astype(np.float32)).permute(0, 3, 1, 2).contiguous()


def _stage(
    photo: np.ndarray, mask: np.ndarray, label: Tensor, config: PhotoAugmentation, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Put something behind the head and before it."""
    side = len(photo)
    if rng.random() < _BACKGROUND * config.of("background"):
        photo = put_before(random_texture(side, rng), photo, mask)
    if rng.random() < _OCCLUDER * config.of("occluders"):
        color, coverage, is_person = random_occluder(side, rng)
        photo = put_before(photo, color, coverage)
        mask = np.maximum(mask, coverage) if is_person else mask * (1 - coverage)
    if rng.random() < _GLASSES * config.of("occluders") and (eyes := face_center(label)) is not None:
        photo = put_before(photo, *dark_glasses(side, eyes, rng))
    return photo, mask


def _take(photo: np.ndarray, config: PhotoAugmentation, rng: np.random.Generator) -> np.ndarray:
    """Take the photo: light, color, optics, sensor, file."""
    steps = {"light": relight, "color": recolor, "blur": blur, "noise": add_noise, "jpeg": compress}
    for family, step in steps.items():
        if (strength := config.of(family)) > 0:
            photo = step(photo, strength, rng)
    return photo


def _border(mask: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    """Return the part of the crop that lies in the photo, after the photo ended at one or two sides."""
    inside = np.ones_like(mask)
    if rng.random() < _BORDER * strength:
        for turns in rng.choice(4, int(rng.integers(1, 3)), replace=False):
            width = round(rng.uniform(0.02, 0.25) * min(strength, 2.0) * len(mask))
            np.rot90(inside, int(turns))[:width] = 0  # a view: the array itself is changed
    return inside


def _misjudge_mask(mask: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    """Grow, shrink or soften a mask, cut a hole into it, or forget it."""
    if strength == 0:
        return mask
    if rng.random() < _NO_MASK * strength:
        return np.ones_like(mask)
    side = len(mask)
    if rng.random() < _WRONG_MASK * strength:
        image = Image.fromarray(np.rint(mask[..., 0] * 255).astype(np.uint8))
        filters = (ImageFilter.MaxFilter(3), ImageFilter.MinFilter(3), ImageFilter.GaussianBlur(side / 64))
        image = image.filter(filters[rng.integers(3)])
        mask = np.asarray(image, np.float32)[..., None] / 255
    if rng.random() < _HOLE * strength:
        y, x = np.mgrid[:side, :side]
        middle, radius = rng.uniform(0.1, 0.9, 2) * side, rng.uniform(0.03, 0.15) * side
        mask = mask * (((y - middle[0]) ** 2 + (x - middle[1]) ** 2) > radius**2)[..., None]
    return mask
