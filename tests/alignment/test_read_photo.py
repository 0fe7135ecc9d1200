"""Reading photos of every odd kind, and listing them."""

import io
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from panohead.alignment import read_photo as read_photo_module
from panohead.alignment.read_photo import read_photo
from panohead.errors import PanoHeadError
from panohead.preparation.sources import list_photos
from panohead.system.text import printable
from preparation.odd_files import encoded


def gradient(width: int = 40, height: int = 30) -> Image.Image:
    y, x = np.mgrid[0:height, 0:width]
    return Image.fromarray(np.stack([x * 5, y * 7, x * 0 + 90], -1).astype(np.uint8))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation(orientation: int) -> None:
    upright = np.zeros((32, 48, 3), dtype=np.uint8)
    upright[:16, :24] = 255
    undo = {
        1: lambda a: a,
        2: np.fliplr,
        3: lambda a: np.rot90(a, 2),
        4: np.flipud,
        5: lambda a: a.transpose(1, 0, 2),
        6: lambda a: np.rot90(a, 1),
        7: lambda a: np.rot90(a, 2).transpose(1, 0, 2),
        8: lambda a: np.rot90(a, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = encoded(Image.fromarray(np.ascontiguousarray(undo(upright))), "PNG", exif=exif)
    np.testing.assert_array_equal(read_photo(content).pixels, upright)


def test_cmyk() -> None:
    content = encoded(Image.new("CMYK", (20, 20), (0, 255, 255, 0)), "JPEG")
    red = read_photo(content).pixels.reshape(-1, 3).mean(axis=0)
    assert red[0] > 200
    assert red[1:].max() < 60


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bits(kind: str) -> None:
    ramp = np.linspace(0, 65535, 400).reshape(20, 20).astype(np.uint16)
    pixels = read_photo(encoded(Image.fromarray(ramp), kind)).pixels
    np.testing.assert_allclose(pixels[..., 0], ramp / 257, atol=0.6)


def test_transparent_parts_are_white() -> None:
    pixels = np.zeros((8, 8, 4), dtype=np.uint8)
    pixels[:4] = (10, 20, 30, 255)
    for content in (encoded(Image.fromarray(pixels), "PNG"), encoded(Image.fromarray(pixels), "WEBP", lossless=True)):
        found = read_photo(content).pixels
        assert found[0, 0].tolist() == [10, 20, 30]
        assert found[7, 7].tolist() == [255, 255, 255]


def test_palette_with_transparency_and_video() -> None:
    frames = [gradient().quantize(16), gradient().rotate(180).quantize(16)]
    content = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:], transparency=0)
    photo = read_photo(content)
    assert photo.pixels.shape == (30, 40, 3)
    assert photo.notes == ("first frame",)


def test_gray_and_bilevel() -> None:
    assert read_photo(encoded(gradient().convert("L"), "JPEG")).pixels.shape == (30, 40, 3)
    assert set(np.unique(read_photo(encoded(gradient().convert("1"), "PNG")).pixels)) <= {0, 255}


def test_huge_photos_are_shrunk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read_photo_module, "MAX_SIDE_PX", 100)
    for kind in ("PNG", "JPEG"):
        photo = read_photo(encoded(gradient(400, 150).resize((800, 300)), kind))
        assert photo.pixels.shape == (38, 100, 3)
        assert photo.shrink == 8.0
        assert photo.notes == ("shrunk by 8.00",)


def test_random_damage_never_raises_anything_else() -> None:
    rng = np.random.default_rng(0)
    whole = [encoded(gradient(), kind) for kind in ("PNG", "JPEG", "GIF", "TIFF", "WEBP", "BMP", "PPM", "TGA")]
    for _ in range(300):
        content = bytearray(whole[int(rng.integers(len(whole)))])
        for place in rng.integers(0, len(content), 6):
            content[place] = int(rng.integers(256))
        try:
            assert read_photo(bytes(content)).pixels.dtype == np.uint8
        except PanoHeadError:
            continue


def test_listing(tmp_path: Path) -> None:
    root = tmp_path / "photos"
    (root / "deep" / "er").mkdir(parents=True)
    (root / ".hidden").mkdir()
    (root / "b.jpg").write_bytes(b"1")
    (root / "deep" / "er" / "a.png").write_bytes(b"2")
    (root / ".hidden" / "no.png").write_bytes(b"3")
    (root / "notes.txt").write_text("x")
    (root / "odd\nname \u00fc.png").write_bytes(b"4")
    (tmp_path / "outside.jpg").write_bytes(b"5")
    os.symlink(tmp_path / "outside.jpg", root / "link.jpg")
    os.symlink(root, root / "deep" / "loop")
    os.mkfifo(root / "pipe.jpg")
    with zipfile.ZipFile(root / "more.zip", "w") as archive:
        archive.writestr("in/c.jpg", b"6")
        archive.writestr("../../evil.jpg", b"7")
        archive.writestr("__MACOSX/c.jpg", b"8")
    (root / "broken.zip").write_bytes(b"no zip")
    refs = {ref.name: ref for ref in list_photos([str(root), str(root / "b.jpg")])}
    fine = {name for name, ref in refs.items() if not ref.problem}
    assert fine == {
        "photos/b.jpg",
        "photos/deep/er/a.png",
        "photos/odd\nname \u00fc.png",
        "photos/more.zip/in/c.jpg",
        "photos/more.zip/../../evil.jpg",
    }
    assert refs["photos/more.zip/../../evil.jpg"].read() == b"7"
    assert "link" in refs["photos/link.jpg"].problem
    assert "link" in refs["photos/deep/loop"].problem
    assert "regular" in refs["photos/pipe.jpg"].problem
    assert "zip" in refs["photos/broken.zip"].problem
    assert list(refs) == sorted(refs, key=str.encode)


def test_listing_globs_and_repeats(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder / "x").mkdir(parents=True)
        (tmp_path / folder / "x" / "1.jpg").write_bytes(folder.encode())
    names = [ref.name for ref in list_photos([str(tmp_path / "*" / "x")])]
    assert names == ["x/1.jpg", "x/1.jpg (2)"]
    with pytest.raises(PanoHeadError, match="matches none"):
        list_photos([str(tmp_path / "gone*.jpg")])


def test_the_results_are_no_photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``panohead prepare . --out heads``, run again, and ``panohead prepare * --out heads``."""
    for name in ("me.jpg", "heads/images/00/me.png", "heads2/x.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    monkeypatch.chdir(tmp_path)
    for arguments in ([tmp_path], ["."], ["*"], ["me.jpg", "heads", "heads2"]):
        refs = list_photos(arguments, leave_out=Path("heads"))
        assert sorted(Path(ref.name).name for ref in refs) == ["me.jpg", "x.png"]


def test_printable_names() -> None:
    assert printable("a\nb") == "a\\nb"
    assert printable("\udcff.jpg") == "\\udcff.jpg"
    assert printable("h\u00fcbsch.jpg") == "h\u00fcbsch.jpg"


def test_heic_says_what_it_needs() -> None:
    content = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + b"\0" * 50
    assert read_photo_module.is_heif(content)
    assert not read_photo_module.is_heif(b"\0\0\0\x18ftypavif\0\0\0\0mif1avif")
    expected = "not an image|damaged" if read_photo_module.register_heif() else "pip install pillow-heif"
    with pytest.raises(PanoHeadError, match=expected):
        read_photo(content)


@pytest.mark.parametrize("depth", [8, 10])
def test_heic(depth: int) -> None:
    heif = pytest.importorskip("pillow_heif")
    heif.register_heif_opener()
    turned = gradient(64, 48).transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x0112] = 6
    if depth == 8:
        content = encoded(turned, "HEIF", quality=95, exif=exif.tobytes())
    else:
        wide = np.asarray(turned).astype(np.uint16) * 257
        file = heif.from_bytes(mode="RGB;16", size=turned.size, data=wide.tobytes())
        buffer = io.BytesIO()
        file.save(buffer, quality=95, exif=exif.tobytes())
        content = buffer.getvalue()
    pixels = read_photo(content).pixels.astype(int)
    assert pixels.shape == (48, 64, 3)
    assert abs(pixels - np.asarray(gradient(64, 48))).mean() < 8
