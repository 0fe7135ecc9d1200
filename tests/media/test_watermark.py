"""The watermark is faint, is found after what happens to images on their way, and is not found where it is not."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps
from skimage import data

from panohead.media import VideoWriter, save_image
from panohead.media.verification import find_marks
from panohead.media.watermark import MIN_SIDE_PX, THRESHOLD, add_watermark, find_watermark, watermarked

Pixels = np.ndarray


def photo(name: str = "astronaut", side: int = 256) -> Pixels:
    image = Image.fromarray(getattr(data, name)()[..., :3])
    return np.asarray(ImageOps.fit(image, (side, side), Image.Resampling.LANCZOS))


def jpeg(pixels: Pixels, quality: int = 80) -> Pixels:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer).convert("RGB"))


def resized(pixels: Pixels, scale: float) -> Pixels:
    size = (round(pixels.shape[1] * scale), round(pixels.shape[0] * scale))
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS))


def cropped(pixels: Pixels, share: float) -> Pixels:
    height, width = pixels.shape[:2]
    top, left = int(0.37 * (1 - share) * height), int(0.61 * (1 - share) * width)
    return np.ascontiguousarray(pixels[top : top + int(share * height), left : left + int(share * width)])


CHANGES: dict[str, Callable[[Pixels], Pixels]] = {
    "nothing": lambda x: x,
    "JPEG 80": jpeg,
    "half": lambda x: resized(x, 0.5),
    "0.73 and JPEG 80": lambda x: jpeg(resized(x, 0.73)),
    "1.6 times": lambda x: resized(x, 1.6),
    "half of every side": lambda x: cropped(x, 0.5),
    "mirrored": lambda x: np.ascontiguousarray(x[:, ::-1]),
    "darker": lambda x: (x * 0.7).astype(np.uint8),
    "gray": lambda x: np.asarray(Image.fromarray(x).convert("L").convert("RGB")),
}


@pytest.mark.parametrize("change", CHANGES)
def test_it_survives(change: str) -> None:
    for name in ("astronaut", "coffee"):
        pixels = photo(name)
        assert find_watermark(CHANGES[change](add_watermark(pixels))).found, name
        assert not find_watermark(CHANGES[change](pixels)).found, name


def test_it_is_faint_and_leaves_white_black_and_alpha_alone() -> None:
    pixels = photo()
    marked = add_watermark(pixels)
    error = np.mean((marked.astype(float) - pixels) ** 2)
    assert 37 < 10 * np.log10(255**2 / error) < 60
    for level in (0, 255):
        flat = np.full((128, 128, 3), level, np.uint8)
        assert np.array_equal(add_watermark(flat), flat)
    alpha = np.dstack([pixels, np.full(pixels.shape[:2], 77, np.uint8)])
    assert np.array_equal(add_watermark(alpha), np.dstack([marked, alpha[..., 3]]))


def test_small_images_are_neither_marked_nor_searched() -> None:
    small = photo(side=MIN_SIDE_PX - 1)
    assert add_watermark(small) is small
    assert find_watermark(photo(side=MIN_SIDE_PX // 2 - 1)).score == 0


@pytest.mark.parametrize("kind", ["noise", "stripes", "checks", "flat", "gradient"])
def test_nothing_is_found_in_patterns(kind: str) -> None:
    y, x = np.mgrid[:192, :192]
    values = {
        "noise": np.random.default_rng(5).integers(0, 255, (192, 192)),
        "stripes": 127 + 90 * np.sin(2 * np.pi * x / 8),
        "checks": 255 * ((x // 8 + y // 8) % 2),
        "flat": np.full((192, 192), 90),
        "gradient": x,
    }[kind]
    assert find_watermark(np.repeat(values[..., None], 3, 2).astype(np.uint8)).score < THRESHOLD


def test_frames_add_up() -> None:
    rng = np.random.default_rng(0)
    marked = add_watermark(photo("coffee", 128)).astype(float)
    frames = [np.clip(marked + rng.normal(0, 22, marked.shape), 0, 255).astype(np.uint8) for _ in range(4)]
    assert find_watermark(*frames).score > max(find_watermark(frame).score for frame in frames)


def test_files_are_marked_only_inside_the_block(tmp_path: Path) -> None:
    image = torch.from_numpy(photo().copy()).permute(2, 0, 1).float() / 127.5 - 1
    plain = save_image(image, tmp_path / "plain.png")
    photograph = tmp_path / "photo.png"
    with watermarked():
        inside = save_image(image, tmp_path / "inside.jpg", quality=80)
        save_image(image, photograph, source=None)
        with VideoWriter(tmp_path / "video.mp4", fps=8) as video:
            for _ in range(3):
                video.write(photo())
    found = {path.name: find_marks(path) for path in (plain, photograph, inside, tmp_path / "video.mp4")}
    has = {name: marks.watermark is not None and marks.watermark.found for name, marks in found.items()}
    assert has == {"plain.png": False, "photo.png": False, "inside.jpg": True, "video.mp4": True}
    stripped = tmp_path / "stripped.jpg"
    Image.fromarray(np.asarray(Image.open(inside))).save(stripped, quality=85)
    marks = find_marks(stripped)
    assert (marks.declared.synthetic, marks.synthetic) == (False, True)
    assert "no synthetic mark in its metadata; no C2PA manifest; watermark (score" in marks.sentence()
