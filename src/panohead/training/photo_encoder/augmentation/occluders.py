"""Backgrounds behind the head, and hands, objects and dark glasses before it."""

import numpy as np
from jaxtyping import Float
from PIL import Image, ImageDraw, ImageFilter

from panohead.training.photo_encoder.augmentation.capture import PhotoPixels

Coverage = Float[np.ndarray, "height width 1"]


def random_texture(side: int, rng: np.random.Generator) -> PhotoPixels:
    """Return a random image in 0..1: even, a gradient, soft or rough patches, or stripes."""
    kind = rng.integers(5)
    first, second = rng.uniform(0, 1, 3), rng.uniform(0, 1, 3)
    if kind == 0:
        return np.broadcast_to(first, (side, side, 3)).astype(np.float32)
    if kind == 1 or kind == 4:
        y, x = np.mgrid[:side, :side] / side - 0.5
        angle = rng.uniform(0, 2 * np.pi)
        along = x * np.cos(angle) + y * np.sin(angle)
        share = along + 0.5 if kind == 1 else 0.5 + 0.5 * np.sign(np.sin(along * rng.uniform(10, 80)))
        return (first + (second - first) * share.clip(0, 1)[..., None]).astype(np.float32)
    cells = int(rng.integers(2, 8) if kind == 2 else rng.integers(8, 32))
    coarse = (rng.uniform(0, 1, (cells, cells, 3)) * 255).astype(np.uint8)
    how = Image.Resampling.BICUBIC if rng.random() < 0.8 else Image.Resampling.NEAREST
    fine = np.asarray(Image.fromarray(coarse).resize((side, side), how), np.float32) / 255
    return (0.5 * (first + (second - first) * fine) + 0.5 * fine).astype(np.float32)


def put_before(photo: PhotoPixels, color: PhotoPixels, coverage: Coverage) -> PhotoPixels:
    """Return the photo with something in front of it."""
    return photo + (color - photo) * coverage


def random_occluder(side: int, rng: np.random.Generator) -> tuple[PhotoPixels, Coverage, bool]:
    """Return color and coverage of a hand or an object, and whether it is a part of the person (a hand)."""
    is_hand = bool(rng.random() < 0.5)
    drawn = Image.new("L", (side, side))
    draw = ImageDraw.Draw(drawn)
    if is_hand:
        _draw_hand(draw, side, rng)
        color = _skin(rng) * np.ones((side, side, 1))
        color = color * (0.9 + 0.2 * random_texture(side, rng).mean(axis=2, keepdims=True))
    else:
        _draw_object(draw, side, rng)
        color = random_texture(side, rng)
    soft = drawn.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 1.5) * side / 128))
    return color.astype(np.float32), np.asarray(soft, np.float32)[..., None] / 255, is_hand


def _draw_object(draw: ImageDraw.ImageDraw, side: int, rng: np.random.Generator) -> None:
    center, size = rng.uniform(0.1, 0.9, 2) * side, rng.uniform(0.08, 0.25) * side
    if rng.random() < 0.4:
        draw.ellipse([*(center - size), *(center + size * rng.uniform(0.4, 1.0, 2))], fill=255)
        return
    angles = np.sort(rng.uniform(0, 2 * np.pi, int(rng.integers(3, 8))))
    radii = size * rng.uniform(0.5, 1.3, len(angles))
    points = center + np.stack([np.cos(angles), np.sin(angles)], 1) * radii[:, None]
    draw.polygon([tuple(point) for point in points], fill=255)


def _draw_hand(draw: ImageDraw.ImageDraw, side: int, rng: np.random.Generator) -> None:
    """Draw a palm that comes from below or from a side, and four fingers that point to the face."""
    palm = np.array([rng.uniform(0.15, 0.85), rng.uniform(0.6, 0.95)]) * side
    size = rng.uniform(0.06, 0.1) * side
    draw.ellipse([*(palm - size), *(palm + size)], fill=255)
    toward = np.arctan2(0.5 * side - palm[1], 0.5 * side - palm[0]) + rng.normal() * 0.4
    for finger in range(4):
        angle = toward + (finger - 1.5) * rng.uniform(0.1, 0.25)
        direction = np.array([np.cos(angle), np.sin(angle)])
        tip = palm + direction * size * rng.uniform(1.8, 2.8)
        draw.line([tuple(palm), tuple(tip)], fill=255, width=max(1, round(size * 0.45)))


def _skin(rng: np.random.Generator) -> Float[np.ndarray, " 3"]:
    light, dark = np.array([0.95, 0.78, 0.68]), np.array([0.30, 0.19, 0.14])
    return dark + (light - dark) * rng.uniform() + rng.normal(size=3) * 0.03


def dark_glasses(side: int, eyes: tuple[float, float, float], rng: np.random.Generator) -> tuple[PhotoPixels, Coverage]:
    """Return color and coverage of two lenses and a bridge.

    Args:
        eyes: middle between the eyes (x, y) and width of the head there, in image sides.
    """
    x, y, width = (value * side for value in eyes)
    drawn = Image.new("L", (side, side))
    draw = ImageDraw.Draw(drawn)
    half = np.array([0.17, rng.uniform(0.10, 0.15)]) * width
    lens = round(255 * rng.uniform(0.6, 1.0))
    for sign in (-1, 1):
        center = np.array([x + sign * 0.21 * width, y])
        box = [*(center - half), *(center + half)]
        if rng.random() < 0.5:
            draw.ellipse(box, fill=lens)
        else:
            draw.rounded_rectangle(box, radius=float(half[1]) / 2, fill=lens)
    draw.line([x - 0.06 * width, y, x + 0.06 * width, y], fill=255, width=max(1, round(0.03 * width)))
    color = np.broadcast_to(rng.uniform(0, 0.25, 3), (side, side, 3)).astype(np.float32)
    return color, np.asarray(drawn, np.float32)[..., None] / 255
