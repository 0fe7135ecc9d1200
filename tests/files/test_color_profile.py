"""Color profiles against the textbook's arithmetic, in every kind of file, through every reader."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from color_profiles import ADOBE_RGB, DISPLAY_P3, PROPHOTO, SRGB, Space, cmyk_profile, gray_profile, lab_in_srgb
from panohead.alignment.read_photo import load_photo
from panohead.cli.common import parse_background
from panohead.data.decode import decode
from panohead.data.sources import open_source
from panohead.data.tools.convert import convert_dataset
from panohead.files.image import decode_image, to_rgb
from panohead.geometry import Camera
from panohead.inversion.load_photos import read_images

SKIN = (205, 150, 120)
COLORS = np.array([SKIN, (255, 255, 255), (0, 0, 0), (90, 120, 200), (128, 128, 128), (60, 110, 60)], np.uint8)


def chart() -> np.ndarray:
    """Patches of 16 pixels a side, so that lossy formats keep their colors."""
    return np.repeat(np.repeat(COLORS.reshape(2, 3, 3), 16, 0), 16, 1)


def patches(image: Image.Image) -> np.ndarray:
    return np.asarray(to_rgb(image))[8::16, 8::16].reshape(-1, 3).astype(int)


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("space", [DISPLAY_P3, ADOBE_RGB, PROPHOTO], ids=lambda space: space.name)
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "JPEG", "WEBP", "AVIF"])
def test_colors_become_those_of_srgb(space: Space, kind: str) -> None:
    options = {"lossless": True} if kind == "WEBP" else {"quality": 100, "subsampling": 0} if kind == "JPEG" else {}
    options |= {"quality": 100} if kind == "AVIF" else {}
    content = saved(Image.fromarray(chart()), kind, icc_profile=space.profile(), **options)
    found = decode_image(content)
    assert found.notes == (f"colors converted from {space.name}",)
    assert "icc_profile" not in found.image.info
    expected = space.in_srgb(COLORS).astype(int)
    tolerance = 2 if kind in ("PNG", "TIFF", "WEBP") else 6
    np.testing.assert_allclose(patches(found.image), expected, atol=tolerance)
    assert np.abs(expected - COLORS.astype(int)).max() > 15, "the test would not notice a missing conversion"


def test_srgb_itself_changes_no_byte() -> None:
    own = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for profile in (SRGB.profile(), own):
        found = decode_image(saved(Image.fromarray(chart()), "PNG", icc_profile=profile))
        np.testing.assert_array_equal(np.asarray(found.image), chart())
        assert found.notes == ()


def test_press_colors() -> None:
    """CMYK by its profile, not by the naive formula."""

    def lab(c: float, m: float, y: float, k: float) -> tuple[float, float, float]:
        return (20.0, 0.0, 0.0) if k else (100 - 30 * c - 35 * m - 10 * y, -30 * c + 60 * m, -40 * c + 70 * y)

    inks = [(0, 0, 0, 0), (255, 0, 0, 0), (0, 255, 0, 0), (0, 0, 255, 0), (0, 255, 255, 0)]
    strip = np.repeat(np.array(inks, np.uint8)[None], 16, 0).repeat(16, 1)
    image = Image.frombytes("CMYK", (strip.shape[1], strip.shape[0]), strip.tobytes())
    for content in (
        saved(image, "TIFF", icc_profile=cmyk_profile(lab)),
        saved(image, "JPEG", quality=100, subsampling=0, icc_profile=cmyk_profile(lab)),
    ):
        found = np.asarray(decode_image(content).image).astype(int)
        assert found.shape[2] == 3
        naive = np.asarray(Image.open(io.BytesIO(content)).convert("RGB")).astype(int)
        for number, ink in enumerate(inks):
            expected = lab_in_srgb(*lab(*(value / 255 for value in ink))).astype(int)
            np.testing.assert_allclose(found[8, 8 + 16 * number], expected, atol=8, err_msg=str(ink))
        assert np.abs(found - naive).max() > 40


def test_gray_photos_with_a_curve() -> None:
    ramp = np.linspace(0, 255, 256).round().astype(np.uint8).reshape(16, 16)
    expected = np.rint(255 * np.asarray(Image.fromarray(ramp)) / 255)
    linear = (ramp / 255) ** 1.8
    expected = np.rint(255 * np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055))
    found = np.asarray(to_rgb(decode_image(saved(Image.fromarray(ramp), "PNG", icc_profile=gray_profile(1.8))).image))
    np.testing.assert_allclose(found, np.repeat(expected[..., None], 3, -1), atol=2)
    wide = Image.fromarray(ramp.astype(np.uint16) * 257)
    found = np.asarray(to_rgb(decode_image(saved(wide, "PNG", icc_profile=gray_profile(1.8))).image))
    np.testing.assert_allclose(found, np.repeat(expected[..., None], 3, -1), atol=2)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "L", "1"])
def test_modes_keep_their_alpha(mode: str) -> None:
    image = Image.fromarray(chart()).convert("RGBA")
    image.putalpha(Image.fromarray(np.tile(np.linspace(0, 255, 48).astype(np.uint8), (32, 1))))
    stored = image.convert("RGB").quantize(16) if mode == "P" else image.convert(mode)
    found = decode_image(saved(stored, "PNG", icc_profile=PROPHOTO.profile())).image
    plain = np.asarray(stored.convert("RGBA")).astype(int)
    expected = PROPHOTO.in_srgb(plain[..., :3]).astype(int) if mode != "1" else plain[..., :3]
    np.testing.assert_allclose(np.asarray(found.convert("RGBA"))[..., :3], expected, atol=3)
    np.testing.assert_array_equal(np.asarray(found.convert("RGBA"))[..., 3], plain[..., 3])


def test_a_turned_and_shrunk_photo() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    content = saved(
        Image.fromarray(chart()).transpose(Image.Transpose.ROTATE_90), "PNG", exif=exif, icc_profile=PROPHOTO.profile()
    )
    for max_side_px in (None, 24):
        image = decode_image(content, max_side_px=max_side_px).image
        assert image.size == ((48, 32) if max_side_px is None else (24, 16))
        scale = 48 // image.width
        found = np.asarray(image)[8 // scale :: 16 // scale, 8 // scale :: 16 // scale].reshape(-1, 3).astype(int)
        np.testing.assert_allclose(found, PROPHOTO.in_srgb(COLORS), atol=4)


@pytest.mark.parametrize(
    "profile",
    [b"nonsense" * 40, PROPHOTO.profile()[:200], bytes(128), gray_profile(1.8), b"\xff" * 5000],
    ids=["nonsense", "cut off", "zeros", "of another kind", "ones"],
)
def test_unusable_profiles_are_left_out(profile: bytes) -> None:
    found = decode_image(saved(Image.fromarray(chart()), "PNG", icc_profile=profile))
    np.testing.assert_array_equal(np.asarray(found.image), chart())
    assert found.notes == ("its color profile cannot be used; colors taken as sRGB",)


def test_random_damage_to_a_profile_costs_nothing() -> None:
    rng = np.random.default_rng(0)
    whole = [PROPHOTO.profile(), cmyk_profile(lambda c, m, y, k: (50.0, 60 * m, 0.0)), gray_profile(2.2)]
    images = [Image.fromarray(chart()), Image.fromarray(chart()).convert("CMYK"), Image.fromarray(chart()).convert("L")]
    for _ in range(150):
        number = int(rng.integers(3))
        profile = bytearray(whole[number])
        for place in rng.integers(0, min(len(profile), 400), 4):
            profile[place] = int(rng.integers(256))
        image = decode_image(saved(images[number], "TIFF", icc_profile=bytes(profile))).image
        assert to_rgb(image).size == (48, 32)


def test_every_reader_converts(tmp_path: Path) -> None:
    """Photos, reconstruction, training, conversion and backgrounds see the same colors; masks stay as they are."""
    photo = tmp_path / "photo.png"
    square = Image.fromarray(np.full((64, 64, 3), SKIN, np.uint8))
    square.save(photo, icc_profile=PROPHOTO.profile())
    expected = PROPHOTO.in_srgb(np.array(SKIN, np.uint8)).astype(int)
    for folder in ("images", "masks"):
        (tmp_path / "data" / folder).mkdir(parents=True)
    (tmp_path / "data" / "images" / "photo.png").write_bytes(photo.read_bytes())
    mask = Image.new("L", (64, 64))
    mask.paste(200, (16, 16, 48, 48))
    mask.save(tmp_path / "data" / "masks" / "photo.png", icc_profile=gray_profile(1.0))
    labels = {"labels": [["photo.png", Camera.orbit(0).to_label().tolist()]]}
    (tmp_path / "data" / "images" / "dataset.json").write_text(json.dumps(labels))
    convert_dataset(tmp_path / "data", tmp_path / "smaller", "folder", size=32)
    images, masks = open_source(tmp_path / "data" / "images"), open_source(tmp_path / "data" / "masks")
    background = parse_background(str(photo))
    with Image.open(photo) as opened:
        of_pillow, given = load_photo(opened), read_images([opened], [Camera.orbit(0)], 64)[0].image
    with Image.open(tmp_path / "smaller" / "images" / "photo.png") as copied:
        copy = np.asarray(copied)
    found = {
        "load_photo": load_photo(photo).pixels,
        "load_photo of Pillow": of_pillow.pixels,
        "reconstruct": (np.asarray(read_images([photo], [Camera.orbit(0)], 64)[0].image.permute(1, 2, 0)) + 1) * 127.5,
        "reconstruct of Pillow": (np.asarray(given.permute(1, 2, 0)) + 1) * 127.5,
        "train": decode(images, "photo.png", "RGB"),
        "convert": copy,
        "background": np.asarray(background),
    }
    for name, pixels in found.items():
        np.testing.assert_allclose(pixels.reshape(-1, 3)[50], expected, atol=2, err_msg=name)
    np.testing.assert_array_equal(decode(masks, "photo.png", "L")[..., 0], np.asarray(mask))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_cameras_that_say_adobe_rgb_without_a_profile(kind: str) -> None:
    for index, space, converted in (("R03", 65535, True), ("R98", 1, False), ("R98", 65535, False)):
        exif = Image.Exif()
        exif.get_ifd(0x8769)[0xA001] = space
        exif.get_ifd(0x8769)[0xA005] = {1: index}
        exif[0x010F] = "maker"
        options = {"quality": 100, "subsampling": 0} if kind == "JPEG" else {"lossless": True} if kind == "WEBP" else {}
        content = saved(Image.fromarray(chart()), kind, exif=exif, **options)
        found = decode_image(content)
        expected = ADOBE_RGB.in_srgb(COLORS) if converted else COLORS
        np.testing.assert_allclose(patches(found.image), expected.astype(int), atol=4)
        assert found.notes == (("colors converted from Adobe RGB (1998)",) if converted else ())
        small = np.asarray(to_rgb(decode_image(content, max_side_px=24).image))[4::8, 4::8].reshape(-1, 3)
        np.testing.assert_allclose(small.astype(int), expected.astype(int), atol=4, err_msg="a photo that is shrunk")
