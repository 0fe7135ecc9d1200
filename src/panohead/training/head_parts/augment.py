"""Augmentation of annotated views: mirror and framing with all labels, then background, softness, light and camera."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from PIL import Image, ImageFilter
from torch import Tensor

from panohead.perceptual.head_parts import SIDE
from panohead.synthetic.annotation import MIRRORED
from panohead.training.head_parts.config import PartsTrainConfig
from panohead.training.head_parts.views import AnnotatedViews
from panohead.training.photo_encoder.augmentation.capture import add_noise, blur, compress, recolor, relight, to_bytes
from panohead.training.photo_encoder.augmentation.framing import Reframing, reframe, sample_framing
from panohead.training.photo_encoder.augmentation.occluders import put_before, random_texture

_BACKGROUND = 0.75
"""Share of random backgrounds among the images that are not over white."""
_RELIT = 0.5
_SIGMAS = (0.4, 2.0)
"""Deviations in pixels of the Gaussian of soft images."""
_HALVED = 0.3
"""Share of the soft images that were shrunk to half their size, as images from few rays are."""


@dataclass(frozen=True)
class PartsBatch:
    """Inputs and targets of a step.

    Attributes:
        images: [-1, 1].
        parts: labels.
        landmarks: column, row in pixels.
        visible: 1 where a point is visible.
        inside: True where a point lies in the image.
        relit: True where the light was changed after rendering.
        index: numbers of the views.
    """

    images: Float[Tensor, "image 3 128 128"]
    parts: Int64[Tensor, "image 128 128"]
    landmarks: Float[Tensor, "image landmark 2"]
    visible: Float[Tensor, "image landmark"]
    inside: Bool[Tensor, "image landmark"]
    relit: Bool[Tensor, "image"]
    index: np.ndarray


def plain_batch(views: AnnotatedViews, index: np.ndarray) -> PartsBatch:
    """Return views as they are."""
    layers = torch.from_numpy(views.images[index]).permute(0, 3, 1, 2).float() / 255
    landmarks = torch.from_numpy(views.landmarks[index])
    return PartsBatch(
        layers[:, :3] * 2 - 1,
        torch.from_numpy(views.parts[index]).long(),
        landmarks[..., :2],
        landmarks[..., 2],
        _inside(landmarks[..., :2]),
        torch.zeros(len(index), dtype=torch.bool),
        index,
    )


def augmented_batch(
    views: AnnotatedViews, index: np.ndarray, config: PartsTrainConfig, rng: np.random.Generator
) -> PartsBatch:
    """Return views as other cameras in other places would have taken them."""
    layers = torch.from_numpy(views.images[index]).permute(0, 3, 1, 2).float() / 255
    parts = torch.from_numpy(views.parts[index])
    landmarks = torch.from_numpy(views.landmarks[index])
    flipped = torch.from_numpy(rng.random(len(index)) < 0.5)
    layers[flipped], parts[flipped] = layers[flipped].flip(3), parts[flipped].flip(2)
    landmarks[flipped] = mirrored_landmarks(landmarks[flipped])
    framing = sample_framing(len(index), config.strength, rng)
    layers = reframe(layers, framing)
    parts = reframe(parts[:, None].float(), framing, "nearest")[:, 0].round().long()
    places = moved_places(landmarks[..., :2], framing)
    inside = _inside(places)
    photos, relit = [], []
    for one in layers.permute(0, 2, 3, 1).numpy():
        photo, changed = _photograph(one[..., :3], one[..., 3:], config, rng)
        photos.append(photo)
        relit.append(changed)
    images = torch.from_numpy(np.stack(photos).astype(np.float32)).permute(0, 3, 1, 2) * 2 - 1
    return PartsBatch(images, parts, places, landmarks[..., 2] * inside, inside, torch.tensor(relit), index)


def mirrored_landmarks(landmarks: Float[Tensor, "image landmark 3"]) -> Float[Tensor, "image landmark 3"]:
    """Return the landmarks of the mirrored images."""
    turned = landmarks[:, list(MIRRORED)].clone()
    turned[..., 0] = SIDE - turned[..., 0]
    return turned


def moved_places(places: Float[Tensor, "image landmark 2"], framing: Reframing) -> Float[Tensor, "image landmark 2"]:
    """Return where :func:`reframe` puts places (pixels)."""
    cos, sin = np.cos(framing.roll) * framing.size, np.sin(framing.roll) * framing.size
    turn = torch.from_numpy(np.stack([np.stack([cos, -sin], -1), np.stack([sin, cos], -1)], 1)).float()
    shift = torch.from_numpy(framing.shift).float() * SIDE
    return (places - SIDE / 2) @ turn.mT + SIDE / 2 + shift[:, None]


def _inside(places: Float[Tensor, "image landmark 2"]) -> Bool[Tensor, "image landmark"]:
    return ((places >= 0) & (places <= SIDE)).all(dim=2)


def _photograph(
    photo: np.ndarray, mask: np.ndarray, config: PartsTrainConfig, rng: np.random.Generator
) -> tuple[np.ndarray, bool]:
    if rng.random() < config.white_share:
        photo = put_before(np.ones_like(photo), photo, mask)
    elif rng.random() < _BACKGROUND:
        photo = put_before(random_texture(len(photo), rng), photo, mask)
    if rng.random() < config.soft_share:
        photo = _softened(photo, rng)
    if config.strength == 0:
        return photo, False
    relit = bool(rng.random() < _RELIT)
    steps = (*((relight,) if relit else ()), recolor, blur, add_noise, compress)
    for step in steps:
        photo = step(photo, config.strength, rng)
    return photo, relit


def _softened(photo: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the photo as soft as images of a generator whose details are means over many heads."""
    image = Image.fromarray(to_bytes(photo))
    if rng.random() < _HALVED:
        half = image.resize((image.width // 2, image.height // 2), Image.Resampling.BOX)
        image = half.resize(image.size, Image.Resampling.BICUBIC)
    image = image.filter(ImageFilter.GaussianBlur(rng.uniform(*_SIGMAS)))
    return np.asarray(image, np.float32) / 255
