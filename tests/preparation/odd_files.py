"""Files that nobody meant to be photos, and photos as odd as they come: by name, with what should become of each."""

import io
import os
import socket
import stat
import struct
import warnings
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, PngImagePlugin

from drawn import drawn_photo

ACCEPTED = ""


@dataclass(frozen=True)
class Odd:
    """A photo's name in the report, and the beginning or a part of the reason; ACCEPTED for none."""

    name: str
    outcome: str


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png_bomb(side: int) -> bytes:
    """A small PNG file whose header promises side x side pixels."""
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    parts = (chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(b"\0" * 1000)), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def gif_bomb(side: int) -> bytes:
    size = struct.pack("<HH", side, side)
    return b"GIF89a" + size + b"\x80\0\0\0\0\0\xff\xff\xff," + b"\0" * 4 + size + b"\0\x02\x02L\x01\0;"


def tiff_bomb(side: int) -> bytes:
    tags = [(256, 4, side), (257, 4, side), (258, 3, 8), (259, 3, 1), (262, 3, 1), (273, 4, 8), (278, 4, side)]
    entries = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in [*tags, (279, 4, side)])
    return b"II*\0" + struct.pack("<IH", 8, len(tags) + 1) + entries + b"\0" * 4


def webp_bomb() -> bytes:
    """A lossless WebP header for the largest image there is: 16384 x 16384."""
    data = b"\x2f" + (16383 | 16383 << 14).to_bytes(4, "little") + b"\0" * 20
    body = b"WEBPVP8L" + struct.pack("<I", len(data)) + data + b"\0"
    return b"RIFF" + struct.pack("<I", len(body)) + body


def jpeg_bomb(whole: bytes) -> bytes:
    """A JPEG file whose header promises 65500 x 65500 pixels."""
    at = whole.index(b"\xff\xc0") + 5
    return whole[:at] + struct.pack(">HH", 65500, 65500) + whole[at + 4 :]


def whole_photos() -> dict[str, bytes]:
    """Photos that must come through."""
    photo = drawn_photo(1)[0]
    gray, frames = photo.convert("L"), [photo.quantize(64), photo.rotate(9).quantize(64)]
    wide = np.asarray(gray).astype(np.uint16) * 257
    cut_out = photo.convert("RGBA")
    cut_out.putalpha(Image.fromarray(np.pad(np.full((300, 300), 255, np.uint8), 10)))
    text = PngImagePlugin.PngInfo()
    text.add_text("Comment", "x" * 3_000_000)
    ycck = encoded(photo.convert("CMYK"), "JPEG")
    adobe = ycck.index(b"Adobe") + 11
    jpeg = encoded(photo, "JPEG", quality=92)
    files = {
        "plain.jpg": jpeg,
        "plain.png": encoded(photo, "PNG"),
        "plain.webp": encoded(photo, "WEBP"),
        "plain.bmp": encoded(photo, "BMP"),
        "plain.tif": encoded(photo, "TIFF"),
        "plain.tga": encoded(photo, "TGA"),
        "plain.ppm": encoded(photo, "PPM"),
        "really a jpeg.png": jpeg,
        "really a png.heic": encoded(photo, "PNG"),
        "no suffix": jpeg,
        "UPPER.JPEG": jpeg,
        "palette.gif": encoded(frames[0], "GIF"),
        "palette, transparent.png": encoded(frames[0], "PNG", transparency=0),
        "film.gif": encoded(frames[0], "GIF", save_all=True, append_images=frames[1:]),
        "film.png": encoded(photo, "PNG", save_all=True, append_images=[photo.rotate(9)]),
        "film.webp": encoded(photo, "WEBP", save_all=True, append_images=[photo.rotate(9)]),
        "pages.tif": encoded(photo, "TIFF", save_all=True, append_images=[photo.rotate(9)]),
        "two in one.mpo": encoded(photo, "MPO", save_all=True, append_images=[photo.rotate(9)]),
        "cmyk.jpg": encoded(photo.convert("CMYK"), "JPEG"),
        "ycck.jpg": ycck[:adobe] + b"\x02" + ycck[adobe + 1 :],
        "cmyk.tif": encoded(photo.convert("CMYK"), "TIFF"),
        "lab.tif": encoded(photo.convert("LAB"), "TIFF"),
        "sixteen bits.png": encoded(Image.fromarray(wide), "PNG"),
        "sixteen bits.tif": encoded(Image.fromarray(wide), "TIFF"),
        "thirty-two bits.tif": encoded(Image.fromarray(wide.astype(np.int32)), "TIFF"),
        "float.tif": encoded(Image.fromarray(np.asarray(gray).astype(np.float32) / 255), "TIFF"),
        "one bit.png": encoded(gray.convert("1"), "PNG"),
        "grey.jpg": encoded(gray, "JPEG"),
        "grey with alpha.png": encoded(cut_out.convert("LA"), "PNG"),
        "alpha.png": encoded(cut_out, "PNG"),
        "alpha.webp": encoded(cut_out, "WEBP"),
        "progressive.jpg": encoded(photo, "JPEG", progressive=True),
        "broken profile.jpg": encoded(photo, "JPEG", icc_profile=b"nonsense" * 40),
        "broken exif.jpg": encoded(photo, "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff nonsense"),
        "much after the end.jpg": jpeg + b"\0" * 100_000,
        "long text.png": encoded(photo, "PNG", pnginfo=text),
    }
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        files[f"turned {orientation}.jpg"] = encoded(photo, "JPEG", exif=exif)
    return files


def broken_photos() -> dict[str, tuple[bytes, str]]:
    """Files that are no photo, or not a whole one, with the reason."""
    photo = drawn_photo(2)[0]
    jpeg, png = encoded(photo, "JPEG"), encoded(photo, "PNG")
    middle = png.index(b"IDAT") + 3000
    thin = drawn_photo(3)[0].resize((1, 10_000))
    packed = PngImagePlugin.PngInfo()
    packed.add_text("Comment", "x" * 3_000_000, zip=True)
    return {
        "zero bytes.jpg": (b"", "empty"),
        "one byte.jpg": (b"\xff", "not an image"),
        "zeros.png": (b"\0" * 5000, "not an image"),
        "cut in the header.jpg": (jpeg[:100], "not an image|damaged"),
        "cut in the middle.jpg": (jpeg[: len(jpeg) // 2], "damaged"),
        "cut near the end.jpg": (jpeg[:-500], "damaged"),
        "cut.png": (png[: len(png) // 2], "damaged"),
        "cut.gif": (encoded(photo.quantize(64), "GIF")[:3000], "damaged"),
        "cut.webp": (encoded(photo, "WEBP")[:3000], "damaged|not an image"),
        "cut.tif": (encoded(photo, "TIFF")[:3000], "damaged|not an image"),
        "cut.bmp": (encoded(photo, "BMP")[:3000], "damaged"),
        "bad checksum.png": (png[:middle] + b"\x55\xaa" + png[middle + 2 :], "damaged"),
        "text.jpg": (b"not a photo", "not an image"),
        "page.jpg": (b"<!doctype html><title>404</title>", "not an image"),
        "drawing.svg": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not an image"),
        "script.eps": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n", "not an image"),
        "paper.pdf": (b"%PDF-1.7\n1 0 obj\n", "not an image"),
        "program.png": (b"\x7fELF\x02\x01\x01" + b"\0" * 200, "not an image"),
        "film.mp4": (b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom", "not an image"),
        "bomb.png": (png_bomb(30_000), "bomb"),
        "bomb.gif": (gif_bomb(30_000), "bomb"),
        "bomb.tif": (tiff_bomb(30_000), "bomb"),
        "bomb.webp": (webp_bomb(), "bomb"),
        "bomb.jpg": (jpeg_bomb(jpeg), "bomb"),
        "packed text.png": (encoded(photo, "PNG", pnginfo=packed), "Decompressed data too large"),
        "lying header.png": (png_bomb(11_000), "damaged"),
        "1x1.png": (encoded(photo.resize((1, 1)), "PNG"), "no head"),
        "1x10000.png": (encoded(thin, "PNG"), "no head"),
        "10000x1.jpg": (encoded(thin.transpose(Image.Transpose.ROTATE_90), "JPEG"), "no head"),
        "nothing to see.png": (encoded(Image.new("RGBA", (300, 300)), "PNG"), "pose unsure"),
    }


def odd_names() -> list[str]:
    """Names of good photos."""
    return [
        "line\nbreak.png",
        "tab\tand\rreturn.png",
        "-rf.png",
        "--out.png",
        "\u6f22\u5b57 \u00e4\u00f6 \U0001f600.png",
        "e\u0301 and \u00e9.png",
        "\u202egnp.right to left.png",
        "<script>alert(1)<.png",
        '"><img src=x onerror=alert(1)>.png',
        "&amp; 'quoted'.png",
        "percent %s %2e%2e%2f {0} $HOME `id`.png",
        "..\\..\\back\\slash.png",
        " spaces around .png ",
        "dots....png",
        "con.png",
        "n" * 250 + ".png",
        "Case.png",
        "case.png",
        "same stem.png",
        "same-stem.png",
        "broken\udcff.png",
    ]


def write_specials(folder: Path, outside: Path) -> Iterator[Odd]:
    """Links, devices and what must not be opened; ``outside`` is a photo beyond the folder."""
    for name, target in (("link out.jpg", outside), ("dangling link.jpg", Path("gone.jpg"))):
        os.symlink(target, folder / name)
    os.symlink("plain.jpg", folder / "link within.jpg")
    os.symlink("link to itself.jpg", folder / "link to itself.jpg")
    yield from (
        Odd(name, "link") for name in ("link out.jpg", "dangling link.jpg", "link within.jpg", "link to itself.jpg")
    )
    deep = folder / "deep" / "er"
    deep.mkdir(parents=True)
    for link, target in (("loop", folder), ("up", folder.parent), ("root", Path("/"))):
        os.symlink(target, deep / link)
        yield Odd(f"deep/er/{link}", "link to a folder")
    os.mkfifo(folder / "pipe.png")
    with socket.socket(socket.AF_UNIX) as server:
        here = os.getcwd()
        os.chdir(folder)  # the name of a socket has at most 107 characters
        server.bind("socket.png")
        os.chdir(here)
    yield from (Odd(name, "not a regular file") for name in ("pipe.png", "socket.png"))
    if os.geteuid() == 0:
        os.mknod(folder / "device.png", stat.S_IFCHR | 0o666, os.makedev(1, 5))
        yield Odd("device.png", "not a regular file")
    inside = folder / "a folder.jpg"
    inside.mkdir()
    (inside / "photo.png").write_bytes(encoded(drawn_photo(4)[0], "PNG"))
    yield Odd("a folder.jpg/photo.png", ACCEPTED)
    (folder / "closed").mkdir()
    (folder / "closed" / "photo.png").write_bytes(b"x")
    for name in ("secret.png", "secret.zip"):
        (folder / name).write_bytes(b"x")
        (folder / name).chmod(0)
    (folder / "closed").chmod(0)
    yield Odd("closed", "folder cannot be read")
    yield Odd("secret.png", "cannot be read .Permission denied|cannot be read \\(Permission")
    yield Odd("secret.zip", "Permission denied")
    with (folder / "huge.jpg").open("wb") as file:
        file.truncate(500_000_000)
    yield Odd("huge.jpg", "500 MB")


def zipped(*members: tuple[str, bytes], packed: bool = False) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED) as archive:
        for name, content in members:
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED if packed else None)
    return buffer.getvalue()


def patched(content: bytes, offset: int, value: bytes) -> bytes:
    """The archive with other bytes in the first entry of its central directory."""
    at = content.rindex(b"PK\x01\x02") + offset
    return content[:at] + value + content[at + len(value) :]


def write_archives(folder: Path) -> Iterator[Odd]:
    """Archives, hostile and damaged."""
    photo = encoded(drawn_photo(5)[0], "PNG")
    one = zipped(("photo.png", photo))
    members = {
        "climbing.zip": ("../../../escaped.png", "/etc/escaped.png", "C:\\escaped.png", "..\\..\\escaped too.png"),
        "names.zip": ("Case.png", "case.png", "line\nbreak.png", "<b>bold.png", "n" * 5000 + ".png", "-x.png"),
        "fine.zip": ("in/photo.png",),
    }
    for archive, names in members.items():
        (folder / archive).write_bytes(zipped(*((name, photo) for name in names)))
        yield from (Odd(f"{archive}/{name}", ACCEPTED) for name in names)
    files = {
        "nothing.zip": (b"", "", "not a readable zip"),
        "no zip.zip": (b"PK nothing", "", "not a readable zip"),
        "cut.zip": (one[: len(one) // 2], "", "not a readable zip"),
        "empty.zip": (zipped(), "", "holds no files"),
        "matryoshka.zip": (zipped(("inner.zip", one)), "/inner.zip", "archive within an archive"),
        "encrypted.zip": (patched(one, 8, b"\1\0"), "/photo.png", "encrypted"),
        "unknown method.zip": (patched(one, 10, b"\x63\0"), "/photo.png", "cannot be read"),
        "corrupt.zip": (one.replace(photo[500:520], b"\0" * 20), "/photo.png", "cannot be read .*CRC"),
        "claims ten gigabytes.zip": (patched(one, 24, b"\xff\xff\xff\xf0"), "/photo.png", "more than any photo"),
        "claims too little.zip": (
            patched(one, 24, b"\x10\0\0\0"),
            "/photo.png",
            "cannot be read|not an image|damaged",
        ),
        "zeros.zip": (zipped(("photo.png", b"\0" * 50_000_000), packed=True), "/photo.png", "not an image"),
        "text.zip": (zipped(("photo.png", b"../../etc/passwd")), "/photo.png", "not an image"),
    }
    for archive, (content, member, outcome) in files.items():
        (folder / archive).write_bytes(content)
        yield Odd(archive + member, outcome)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zipfile does not like it either
        (folder / "twice.zip").write_bytes(zipped(("a.png", photo), ("a.png", photo)))
    yield Odd("twice.zip/a.png", ACCEPTED)
    yield Odd("twice.zip/a.png (2)", ACCEPTED)
