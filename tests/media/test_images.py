"""Pixels, masks and depths survive the way to a file and back."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from panohead.errors import PanoHeadError
from panohead.media.images import (
    DEPTH_SCALE,
    depth_preview,
    from_uint8,
    load_depth,
    mask_to_pil,
    save_depth,
    save_image,
    to_pil,
    to_rgba,
    to_uint8,
)


def test_every_byte_survives_the_round_trip() -> None:
    pixels = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, axis=2)
    assert np.array_equal(to_uint8(from_uint8(pixels)), pixels)


def test_conversion_is_the_official_one() -> None:
    values = [-2.0, -1.0, -0.5, 0.0, 0.003, 0.5, 1.0, 3.0]
    expected = [int(min(max(v * 127.5 + 128, 0), 255)) for v in values]
    image = torch.tensor(values).reshape(1, 1, -1).expand(3, 2, -1)
    assert to_uint8(image)[1, :, 2].tolist() == expected
    assert to_pil(image).size == (8, 2)


def test_cut_out_keeps_color_and_takes_alpha_from_the_mask() -> None:
    image = torch.rand(3, 8, 8) * 2 - 1
    mask = torch.zeros(1, 4, 4)
    mask[:, 1:3, 1:3] = 1
    pixels = to_rgba(image, mask)
    assert np.array_equal(pixels[..., :3], to_uint8(image))
    assert pixels[0, 0, 3] == 0
    assert pixels[4, 4, 3] == 255
    assert 0 < pixels[4, 1, 3] < 255
    same = to_rgba(image, torch.full((1, 8, 8), 1.001))
    assert (same[..., 3] == 255).all()


def test_masks_are_rounded() -> None:
    mask = torch.tensor([[[-0.001, 0.5, 0.998, 1.001]]])
    assert np.asarray(mask_to_pil(mask)).tolist() == [[0, 128, 254, 255]]


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".jpeg", ".webp", ".PNG"])
def test_images_are_written_in_the_format_of_their_name(tmp_path: Path, suffix: str) -> None:
    smooth = torch.linspace(-1, 1, 32).expand(3, 32, 32)
    path = save_image(smooth, tmp_path / "new" / f"a{suffix}", quality=90)
    with Image.open(path) as image:
        assert image.format == {".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}.get(suffix, "PNG")
        difference = np.abs(np.asarray(image).astype(int) - to_uint8(smooth))
    assert difference.max() <= (0 if suffix.lower() == ".png" else 8)
    assert list(path.parent.iterdir()) == [path]


def test_transparency_where_the_format_has_it(tmp_path: Path) -> None:
    pixels = to_rgba(torch.zeros(3, 4, 4), torch.eye(4)[None])
    with Image.open(save_image(pixels, tmp_path / "a.png")) as image:
        assert np.array_equal(np.asarray(image), pixels)
    with Image.open(save_image(Image.fromarray(pixels), tmp_path / "a.webp")) as image:
        assert image.mode == "RGBA"
    with pytest.raises(PanoHeadError, match="JPEG has no transparency"):
        save_image(pixels, tmp_path / "a.jpg")


@pytest.mark.parametrize("name", ["a.tiff", "a", "a.gif"])
def test_unknown_suffix(tmp_path: Path, name: str) -> None:
    with pytest.raises(PanoHeadError, match=r"use one of \.png"):
        save_image(torch.zeros(3, 4, 4), tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_depth_keeps_a_twentieth_of_a_millimetre(tmp_path: Path) -> None:
    """Steps of 1e-4 world units are 0.04 mm of a life-size head; nothing there comes back as infinity."""
    depth = 2.25 + 1.05 * torch.rand(1, 20, 30)
    depth[0, :2] = torch.inf
    depth[0, 2] = torch.nan
    mask = torch.ones(1, 20, 30)
    mask[0, :, :3] = 0.2
    path = save_depth(depth, tmp_path / "depth.png", mask=mask)
    again = load_depth(path)
    seen = depth.isfinite() & (mask > 0.5)
    assert torch.equal(again.isfinite(), seen)
    assert (again - depth)[seen].abs().max() <= 0.51 * DEPTH_SCALE
    with Image.open(path) as image:
        assert image.mode.startswith("I;16")
        assert image.info["DepthScale"] == "0.0001"


def test_depth_errors(tmp_path: Path) -> None:
    with pytest.raises(PanoHeadError, match="16 bits"):
        save_depth(torch.ones(1, 4, 4), tmp_path / "depth.jpg")
    with pytest.raises(PanoHeadError, match="clamp"):
        save_depth(torch.full((1, 4, 4), 7.0), tmp_path / "depth.png")


def test_depth_preview_goes_from_blue_to_yellow_on_white() -> None:
    depth = torch.tensor([[[2.0, 2.5, 3.0, torch.inf]]])
    near, middle, far, nothing = np.asarray(depth_preview(depth))[0].astype(int)
    assert near.tolist() == [68, 1, 84]
    assert far.tolist() == [253, 231, 37]
    assert middle.tolist() == [33, 144, 141]
    assert nothing.tolist() == [255, 255, 255]
    fixed = np.asarray(depth_preview(depth, near=1.0, far=2.0))[0]
    assert fixed[0].tolist() == fixed[2].tolist() == [253, 231, 37]
    assert (np.asarray(depth_preview(torch.full((1, 2, 2), torch.inf))) == 255).all()
