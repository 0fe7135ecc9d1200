"""Light, color, optics, sensor and compression of one photo; images are 0..1, "height width 3"."""

import io

import numpy as np
from jaxtyping import Float
from PIL import Image, ImageFilter

from panohead.files.image import decode_image

PhotoPixels = Float[np.ndarray, "height width 3"]
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)


def relight(photo: PhotoPixels, strength: float, rng: np.random.Generator) -> PhotoPixels:
    """Change exposure and gamma, and let the light fall off across the photo."""
    side = len(photo)
    y, x = np.mgrid[:side, :side].astype(np.float32) / side - 0.5
    angle, slope = rng.uniform(0, 2 * np.pi), rng.normal() * 0.35 * strength
    gain = np.exp(rng.normal() * 0.15 * strength + slope * (x * np.cos(angle) + y * np.sin(angle)))
    return (photo * gain[..., None]).clip(0, 1) ** np.exp(rng.normal() * 0.12 * strength)


def recolor(photo: PhotoPixels, strength: float, rng: np.random.Generator) -> PhotoPixels:
    """Change white balance, saturation and contrast; one photo in twenty-five turns gray."""
    balance = np.exp(rng.normal(size=3) * 0.06 * strength)
    saturation, contrast = np.exp(rng.normal(size=2) * np.array([0.25, 0.12]) * strength)
    if rng.random() < 0.04 * strength:
        saturation = 0.0
    photo = photo * (balance / balance.mean()).astype(np.float32)
    gray = (photo @ _LUMA)[..., None]
    photo = gray + (photo - gray) * saturation
    middle = photo.mean()
    return (middle + (photo - middle) * contrast).clip(0, 1)


def blur(photo: PhotoPixels, strength: float, rng: np.random.Generator) -> PhotoPixels:
    """Defocus, shake or shrink and enlarge six of ten photos."""
    if rng.random() >= min(0.6 * strength, 1.0):
        return photo
    side = len(photo)
    image = Image.fromarray(to_bytes(photo))
    kind = rng.integers(3)
    if kind == 0:
        image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 1.5) * strength * side / 128))
    elif kind == 1:
        small = max(8, round(side / (1 + rng.uniform(0.3, 2.0) * strength)))
        how = Image.Resampling.BILINEAR if rng.random() < 0.5 else Image.Resampling.BICUBIC
        image = image.resize((small, small), Image.Resampling.BOX).resize((side, side), how)
    else:
        return _shaken(photo, rng.uniform(0, 2 * np.pi), rng.uniform(1, 4) * strength * side / 128)
    return np.asarray(image, np.float32) / 255


def _shaken(photo: PhotoPixels, angle: float, length: float) -> PhotoPixels:
    """Return the mean of the photo shifted along a line, whole pixels."""
    steps = np.linspace(-length / 2, length / 2, 5)
    total = np.zeros_like(photo)
    for step in steps:
        total += np.roll(photo, (round(step * np.sin(angle)), round(step * np.cos(angle))), axis=(0, 1))
    return total / len(steps)


def add_noise(photo: PhotoPixels, strength: float, rng: np.random.Generator) -> PhotoPixels:
    """Add shot and readout noise to two of three photos."""
    if rng.random() >= min(0.67 * strength, 1.0):
        return photo
    even, shot = rng.uniform(0, 0.04) * strength, rng.uniform(0, 0.05) * strength
    deviation = np.sqrt(even**2 + shot**2 * photo)
    return (photo + rng.standard_normal(photo.shape, np.float32) * deviation).clip(0, 1)


def compress(photo: PhotoPixels, strength: float, rng: np.random.Generator) -> PhotoPixels:
    """Compress half of the photos as JPEG, of quality 90 to 20."""
    if rng.random() >= min(0.5 * strength, 1.0):
        return photo
    quality = round(90 - 70 * min(rng.uniform() * strength, 1.0))
    buffer = io.BytesIO()
    Image.fromarray(to_bytes(photo)).save(buffer, "JPEG", quality=quality)
    return np.asarray(decode_image(buffer.getvalue()).image.convert("RGB"), np.float32) / 255


def to_bytes(photo: PhotoPixels) -> np.ndarray:
    """Return 0..1 as 0..255."""
    return np.rint(photo.clip(0, 1) * 255).astype(np.uint8)
