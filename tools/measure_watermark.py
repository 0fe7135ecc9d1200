"""Measure what the watermark survives, on images without one:

    python tools/measure_watermark.py heads/seed*/yaw*.png              # at their own size
    python tools/measure_watermark.py photos/*.jpg --side 256           # cut and scaled to squares first

Prints a row of a Markdown table: PSNR, then the share of images in which the mark is found after each change, and last
the share of unmarked images in which one is found (false alarms, with the highest score).
"""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro
from PIL import Image, ImageOps

from panohead.media.watermark import add_watermark, find_watermark


@dataclass(kw_only=True)
class Options:
    """Images to measure on."""

    files: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Images without a watermark."""
    side: int | None = None
    """Cut and scale them to squares of so many pixels first."""
    false_alarms: bool = False
    """Only search: the share of unmarked images in which a mark is found."""


def opened(path: Path, side: int | None) -> np.ndarray:
    """Return an image as RGB pixels."""
    with Image.open(path) as image:
        rgb = image.convert("RGB")
    return np.asarray(rgb if side is None else ImageOps.fit(rgb, (side, side), Image.Resampling.LANCZOS))


def recoded(pixels: np.ndarray, kind: str, quality: int) -> np.ndarray:
    """Return an image after lossy compression."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, quality=quality)
    return np.asarray(Image.open(buffer).convert("RGB"))


def resized(pixels: np.ndarray, scale: float) -> np.ndarray:
    """Return an image of another size."""
    size = (round(pixels.shape[1] * scale), round(pixels.shape[0] * scale))
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS))


def cropped(pixels: np.ndarray, share: float) -> np.ndarray:
    """Return a part of an image off its center, with this share of every side."""
    height, width = pixels.shape[:2]
    top, left = int(0.37 * (1 - share) * height), int(0.61 * (1 - share) * width)
    return np.ascontiguousarray(pixels[top : top + int(share * height), left : left + int(share * width)])


CHANGES = {
    "none": lambda x: x,
    "JPEG 80": lambda x: recoded(x, "JPEG", 80),
    "JPEG 50": lambda x: recoded(x, "JPEG", 50),
    "WebP 80": lambda x: recoded(x, "WEBP", 80),
    "x 0.5": lambda x: resized(x, 0.5),
    "x 0.75, JPEG 80": lambda x: recoded(resized(x, 0.75), "JPEG", 80),
    "x 1.5": lambda x: resized(x, 1.5),
    "half of each side": lambda x: cropped(x, 0.5),
    "0.7 of each side, x 0.8, JPEG 80": lambda x: recoded(resized(cropped(x, 0.7), 0.8), "JPEG", 80),
}


def main(options: Options) -> None:
    """Print the table."""
    images = [opened(path, options.side) for path in options.files]
    plain = [find_watermark(pixels) for pixels in images]
    alarms = f"{sum(one.found for one in plain)} of {len(plain)} (highest score {max(one.score for one in plain):.1f})"
    if options.false_alarms:
        print(alarms)
        return
    marked = [add_watermark(pixels) for pixels in images]
    errors = [np.mean((one.astype(float) - other) ** 2) for one, other in zip(marked, images, strict=True)]
    found = {name: np.mean([find_watermark(change(one)).found for one in marked]) for name, change in CHANGES.items()}
    print("| images | PSNR | " + " | ".join(found) + " | unmarked |")
    print("|---" * (len(found) + 3) + "|")
    psnr = 10 * np.log10(255**2 / np.mean(errors))
    print(
        f"| {len(images)} | {psnr:.1f} dB | "
        + " | ".join(f"{share:.0%}" for share in found.values())
        + f" | {alarms} |"
    )


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
