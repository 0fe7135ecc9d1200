"""The one opening of images: no program is started, nothing is waited for, memory is bounded, whatever the file is."""

import contextlib
import io
import json
import os
import struct
import subprocess
import sys
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import EpsImagePlugin, Image, PngImagePlugin

from files.unusable import make
from panohead.alignment.read_photo import load_photo
from panohead.cli.common import parse_background
from panohead.data.dataset import open_dataset
from panohead.data.tools.convert import convert_dataset
from panohead.data.tools.dataset import inspect_dataset
from panohead.errors import PanoHeadError
from panohead.files.image import BrokenImage, decode_image, open_image
from panohead.files.image_limits import check_tags
from panohead.geometry import Camera
from panohead.inversion.load_photos import read_images
from panohead.media.images import load_depth
from panohead.media.marks import is_marked_synthetic
from preparation.odd_files import chunk, encoded, png_bomb

POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 16 16\n%%EndComments\n(x) print showpage\n%%EOF\n"


def person_mask() -> Image.Image:
    """A mask of a person in the middle of the image."""
    mask = Image.new("L", (16, 16))
    mask.paste(255, (4, 4, 12, 12))
    return mask


def dataset_with(folder: Path, image: bytes, mask: bytes) -> Path:
    """A dataset of a good image and of one of the given content."""
    good = Image.new("RGB", (16, 16), (200, 10, 10))
    labels = []
    for name, content, beside in (
        ("a.png", encoded(good, "PNG"), encoded(person_mask(), "PNG")),
        ("b.png", image, mask),
    ):
        for kind, data in (("images", content), ("masks", beside)):
            (folder / kind).mkdir(parents=True, exist_ok=True)
            (folder / kind / name).write_bytes(data)
        labels.append([name, Camera.orbit(0).to_label().tolist()])
    (folder / "images" / "dataset.json").write_text(json.dumps({"labels": labels}))
    return folder


def read_everything(content: bytes, folder: Path) -> dict[str, str]:
    """Read a content by every reader of the package; return the sentence of each refusal."""
    photo = folder / "photo.png"
    photo.write_bytes(content)
    good = encoded(Image.new("RGB", (16, 16)), "PNG")
    data = {"image": dataset_with(folder / "one", content, good), "mask": dataset_with(folder / "two", good, content)}
    crop = np.zeros((64, 64, 3), np.uint8)
    readers: dict[str, Callable[[], object]] = {
        "background": lambda: parse_background(str(photo)),
        "photo": lambda: load_photo(photo),
        "reconstruct": lambda: read_images([photo], [Camera.orbit(0)], 64),
        "mask of a photo": lambda: read_images([crop], [Camera.orbit(0)], 64, masks=[photo]),
        "depth": lambda: load_depth(photo),
        "verify": lambda: is_marked_synthetic(photo),
    }
    for name, root in data.items():
        readers[f"train, {name}"] = lambda root=root: open_dataset(root).batch([0, 1])
    sentences = {}
    for name, reader in readers.items():
        try:
            reader()
        except PanoHeadError as error:
            sentences[name] = str(error)
    for name, root in data.items():
        sentences |= {f"convert, {name}": "; ".join(convert_dataset(root, root / "out", "folder", size=8).broken)}
        broken = inspect_dataset(root).broken
        sentences |= {f"inspect, {name}": f"{file}: {sentence}" for file, sentence in broken.items()}
    return sentences


READERS = 12


@pytest.fixture
def ghostscript(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program called gs that leaves a trace; the path of the trace."""
    program, trace = tmp_path / "bin" / "gs", tmp_path / "started"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\necho started >> '{trace}'\necho 10.0\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.setattr(EpsImagePlugin, "gs_binary", None)
    return trace


def test_postscript_by_another_name_starts_nothing(ghostscript: Path, tmp_path: Path) -> None:
    with contextlib.suppress(OSError), Image.open(io.BytesIO(POSTSCRIPT)) as image:
        image.load()
    assert ghostscript.exists(), "the test would not notice a start"
    ghostscript.unlink()
    sentences = read_everything(POSTSCRIPT, tmp_path)
    assert len(sentences) == READERS, sentences
    assert not ghostscript.exists()


def broken_avif() -> bytes:
    whole = encoded(Image.effect_noise((16, 16), 80).convert("RGB"), "AVIF")
    begin = whole.index(b"mdat") + 4
    return whole[:begin] + b"\xff" * (len(whole) - begin)


def tiff(entries: list[tuple[int, int, int, int]], body: bytes = b"") -> bytes:
    packed = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return b"II*\0" + struct.pack("<IH", 8, len(entries)) + packed + bytes(4) + body


BROKEN = {
    "AVIF": broken_avif(),
    "pdf": b"%PDF-1.4\n1 0 obj\n",
    "empty": b"",
    "odd sizes": png_bomb(0),
    "bomb": png_bomb(30_000),
    "bomb of the allowed kind": png_bomb(13_000),
    "FITS": b"SIMPLE  =                    T".ljust(2880),
    "WMF": b"\xd7\xcd\xc6\x9a" + bytes(100),
    "tile of a TIFF": tiff(
        [(256, 4, 1, 16), (257, 4, 1, 16), (258, 3, 1, 8), (259, 3, 1, 8), (262, 3, 1, 1), (277, 3, 1, 1),
         (322, 4, 1, 65_520), (323, 4, 1, 65_520), (324, 4, 1, 200), (325, 4, 1, 50)], bytes(200),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", list(BROKEN))
def test_every_reader_refuses_in_a_sentence(name: str, tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sentences = read_everything(BROKEN[name], tmp_path)
    # A header without decodable pixels still tells whether it bears a mark.
    assert len(sentences) >= READERS - 1, sentences
    for sentence in sentences.values():
        assert "photo.png" in sentence or "b.png" in sentence, sentence
        assert "\n" not in sentence
        assert "BytesIO" not in sentence


def test_any_exception_of_a_decoder_is_a_broken_image(monkeypatch: pytest.MonkeyPatch) -> None:
    content = encoded(Image.new("RGB", (16, 16)), "PNG")
    for kind in (RuntimeError, KeyError, struct.error, ZeroDivisionError, RecursionError, MemoryError, AssertionError):

        def load(self: object, kind: type[Exception] = kind) -> None:
            raise kind("odd")

        monkeypatch.setattr(PngImagePlugin.PngImageFile, "load", load)
        with pytest.raises(BrokenImage, match=r"it is damaged|memory"):
            decode_image(content)


def test_interruptions_are_no_broken_images() -> None:
    with pytest.raises(KeyboardInterrupt), open_image(encoded(Image.new("RGB", (16, 16)), "PNG")):
        raise KeyboardInterrupt


@pytest.mark.parametrize("kind", ["folder", "pipe", "device", "socket", "sparse", "gone", "loop"])
def test_only_regular_files_of_a_bounded_size_are_opened(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    if kind != "gone":
        make(kind, path)
    for reader in (parse_background, load_photo, load_depth, lambda p: read_images([p], [Camera.orbit(0)], 64)):
        with pytest.raises(PanoHeadError, match=r"photo\.png"):
            reader(str(path))


def flat_png(width: int, height: int, *, color: int = 2) -> bytes:
    """A small file of one color with very many pixels."""
    row = bytes(1 + width * {2: 3, 6: 4}[color])
    packer = zlib.compressobj(1)
    data = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, 8, color, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


_WITH_A_GIGABYTE = """
import resource, sys
from pathlib import Path
import numpy as np, torch
from panohead.cli.common import parse_background
from panohead.files.image import decode_image, to_rgb
from panohead.frame import Frame
from panohead.geometry import Camera

folder = Path(sys.argv[1])
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 10**9,) * 2)
for path in sorted(folder.glob("large*.png")):
    assert to_rgb(decode_image(path, max_side_px=6000).image).size in ((6000, 3130), (3273, 6000)), path
image = torch.zeros(3, 64, 64)
frame = Frame(image=image, image_raw=image, depth=image[:1], mask=image[:1], camera=Camera.orbit(0))
for path in sorted(folder.glob("strip*.png")):
    assert frame.on(parse_background(str(path))).image.mean((1, 2)).tolist() == [-1.0, -1.0, 1.0], path
print("all")
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs the memory figures of Linux")
def test_large_images_and_strips_fit_into_a_gigabyte(tmp_path: Path) -> None:
    for name, content in {
        "rgb": flat_png(11_500, 6_000),
        "rgba": flat_png(6_001, 11_000, color=6),
    }.items():
        (tmp_path / f"large {name}.png").write_bytes(content)
    for size in ((1, 100_000), (100_000, 1)):
        Image.new("RGB", size, (0, 0, 255)).save(tmp_path / f"strip {size[0]}.png")
    command = [sys.executable, "-P", "-c", _WITH_A_GIGABYTE, str(tmp_path)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.stdout == "all\n", result.stderr


def test_larger_images_are_refused() -> None:
    for content in (flat_png(13_000, 13_000), flat_png(11_000, 11_000, color=6)):
        with pytest.raises(BrokenImage, match="decompression bomb"):
            decode_image(content)


def test_texts_of_an_image_are_bounded() -> None:
    whole = encoded(Image.new("RGB", (16, 16)), "PNG")
    at = whole.index(b"IDAT") - 4
    for text in (chunk(b"tEXt", b"Comment\0" + b"x" * 40_000_000), chunk(b"eXIf", b"II*\0" + bytes(40_000_000))):
        with pytest.raises(BrokenImage, match="no pixels"):
            decode_image(whole[:at] + text + whole[at:])


def test_decoders_written_in_python_get_few_pixels() -> None:
    with pytest.raises(BrokenImage, match="bomb"):
        decode_image(b"P6\n4000 4000\n254\n" + bytes(4000 * 4000 * 3))
    assert decode_image(b"P6\n4 4\n254\n" + bytes(48)).image.size == (4, 4)


def test_frames_are_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A GIF file may have millions of them."""
    frames = [Image.new("L", (4, 4), 90 * number) for number in range(3)]
    content = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    from PIL import GifImagePlugin

    monkeypatch.setattr(GifImagePlugin.GifImageFile, "n_frames", property(lambda self: 1 / 0))
    assert decode_image(content).notes == ("first frame",)


def test_orientation_counts_in_a_dataset(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = encoded(Image.fromarray(np.rot90(pixels)), "PNG", exif=exif)
    root = dataset_with(tmp_path / "data", turned, encoded(person_mask(), "PNG"))
    np.testing.assert_array_equal(open_dataset(root).photo(1)[0].permute(1, 2, 0).numpy(), pixels)
    convert_dataset(root, tmp_path / "copy", "folder", size=16)
    with Image.open(tmp_path / "copy" / "images" / "b.png") as copy:
        np.testing.assert_array_equal(np.asarray(copy), pixels)


def many_tags(count: int, size: int) -> list[tuple[int, int, int, int]]:
    """Tags that all claim the same bytes."""
    return [(40_000 + number, 1, size, 200) for number in range(count)]


def jpeg_of_segments(exif: bytes) -> bytes:
    """A JPEG file whose tags take several segments."""
    whole = encoded(Image.new("RGB", (16, 16)), "JPEG")
    parts = [exif[begin : begin + 60_000] for begin in range(0, len(exif), 60_000)]
    segments = b"".join(b"\xff\xe1" + struct.pack(">H", len(part) + 8) + b"Exif\0\0" + part for part in parts)
    return whole[:2] + segments + whole[2:]


def test_tags_that_claim_the_same_bytes() -> None:
    """65,535 tags of a megabyte each would be 65 GB."""
    body = bytes(2_000_000)
    small = [(256, 4, 1, 16), (257, 4, 1, 16), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1), (273, 4, 1, 200)]
    assert decode_image(tiff([*small, (279, 4, 1, 256)], bytes(600))).image.size == (16, 16)
    bomb = tiff([*small, *many_tags(5000, 1_900_000)], body)
    whole = encoded(Image.new("RGB", (16, 16)), "PNG")
    at = whole.index(b"IDAT") - 4
    exif = tiff(many_tags(3000, 60_000), bytes(70_000))
    for content in (
        bomb,
        whole[:at] + chunk(b"eXIf", exif) + whole[at:],
        encoded(Image.new("RGB", (16, 16)), "WEBP", exif=exif),
        encoded(Image.new("RGB", (16, 16)), "JPEG", exif=b"Exif\0\0" + tiff(many_tags(1000, 50_000), bytes(51_000))),
        jpeg_of_segments(tiff(many_tags(5000, 300_000), bytes(320_000))),
    ):
        with pytest.raises(BrokenImage, match="claim more bytes"):
            decode_image(content)


def bombs_in_other_places() -> dict[str, bytes]:
    """Tags that claim the same bytes where a look at the first directory of plain TIFF finds nothing."""
    plain = tiff(many_tags(3000, 1_900_000), bytes(2_000_000))
    inner = struct.pack("<H", 3000) + b"".join(struct.pack("<HHII", *tag) for tag in many_tags(3000, 60_000))
    below = tiff([(0x8769, 4, 1, 8 + 2 + 12 + 4)], inner.ljust(70_000, b"\0"))
    entries = b"".join(struct.pack("<HHQQ", *tag) for tag in many_tags(3000, 60_000))
    large = b"II+\0" + struct.pack("<HHQQ", 8, 0, 16, 3000) + entries + bytes(70_000)
    text = b"\nexif\n 8\n" + tiff(many_tags(3000, 60_000), bytes(70_000)).hex().encode()
    whole = encoded(Image.new("RGB", (16, 16)), "PNG")
    at = whole.index(b"IDAT") - 4
    exif = Image.Exif()
    exif[40_000] = b"mark" + bytes(70_000)
    avif = bytearray(encoded(Image.new("RGB", (16, 16)), "AVIF", exif=exif.tobytes()))
    mark, head = avif.index(b"mark"), avif.index(b"MM\0*")
    avif[mark : mark + len(inner)] = inner
    avif[head : head + 8] = b"II*\0" + struct.pack("<I", mark - head)
    name = b"Raw profile type exif\0"
    return {
        "the number the wrong way round": b"II\0*" + plain[4:],
        "large TIFF": large,
        "below another directory": whole[:at] + chunk(b"eXIf", below) + whole[at:],
        "in a text": whole[:at] + chunk(b"tEXt", name + text) + whole[at:],
        "in a packed text": whole[:at] + chunk(b"zTXt", name + b"\0" + zlib.compress(text)) + whole[at:],
        "avif": bytes(avif),
    }


@pytest.mark.parametrize("place", bombs_in_other_places())
def test_tags_are_bounded_wherever_they_stand(place: str) -> None:
    with pytest.raises(BrokenImage, match="claim more bytes"):
        decode_image(bombs_in_other_places()[place])


def test_directories_that_hold_one_another_end() -> None:
    with pytest.raises(BrokenImage):
        decode_image(tiff([(0x8769, 4, 1, 8)] * 3, bytes(600)))
    many = tiff([(0x8769, 4, 1, 100 + place) for place in range(30_000)], b"\xff" * 400_000)
    with pytest.raises(BrokenImage, match="too many tags"):
        check_tags(many, 10**18)


def test_ordinary_tags() -> None:
    exif = Image.Exif()
    exif[0x010F] = "maker"
    exif.get_ifd(0x8769)[0x927C] = bytes(50_000)
    for kind in ("JPEG", "PNG", "WEBP", "TIFF", "AVIF"):
        decode_image(encoded(Image.new("RGB", (16, 16)), kind, exif=exif))
