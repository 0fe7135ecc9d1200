"""Limits of images, compared before anything is decoded: memory and time by the header, texts and tags by the file."""

import zlib
from typing import Literal

from PIL import Image

from panohead.errors import PanoHeadError

MAX_DECODED_BYTES = 560_000_000
"""Memory in bytes that decoding one image may take; more is taken for a decompression bomb."""
_BYTES_PER_PIXEL = {"WEBP": 16, "AVIF": 12, "HEIF": 10, "JPEG2000": 20, "TIFF": 8, "ICO": 8}
"""Memory of the decoders, with Pillow's own 4 bytes per pixel; of the others 4, twice as much with alpha."""
_PROGRESSIVE_BYTES = 6
"""Bytes per pixel in which a progressive JPEG file is gathered before it is decoded."""
_MAX_CHUNK_BYTES = 32_000_000
"""Bytes of one chunk of a PNG file other than its pixels; Pillow copies texts several times."""
_SLOW_DECODERS = {"ppm", "ppm_plain", "bmp_rle"}
_MAX_SLOW_PIXELS = 8_000_000
"""Decoders that Pillow has in Python, at a second or so for a million pixels, and the pixels given to them."""
_EXIF_TEXT = b"Raw profile type exif\0"
MAX_EXIF_BYTES = 1_000_000
"""Bytes that the tags of an image may claim beyond those of its file."""
_MAX_TAGS = 65_535
"""Tags of all directories together."""
_MAX_HEADERS = 64
_HEADERS = (b"MM\0*", b"II*\0", b"MM*\0", b"II\0*", b"MM\0+", b"II+\0")
"""Beginnings by which Pillow knows TIFF: plain, with its number the wrong way round, and BigTIFF."""
_TAG_BYTES = {3: 2, 4: 4, 5: 8, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
"""Bytes of the types of TIFF, by their numbers; 1 for the others."""
_DIRECTORY_TAGS = (0x8769, 0x8825, 0xA005)
"""Tags that hold the place of another directory: of EXIF, GPS, interoperability."""


class BrokenImage(PanoHeadError):
    """Error for an image that cannot be used; a clause that begins with "it", to follow the file's name.

    The clauses are stored in datasets, whose reports count by them.
    """


def check_cost(image: Image.Image, whole: tuple[int, int]) -> None:
    """Refuse an image whose decoding would take too much memory or time, by its header.

    Args:
        image: opened image, of the size in which it will be decoded.
        whole: size in the file.
    """
    width, height = image.size
    each = _BYTES_PER_PIXEL.get(image.format or "", 4)
    if image.mode in ("RGBA", "LA", "PA", "P", "I", "F") or "transparency" in image.info:
        each = max(each, 8)
    # The tiles of a TIFF file may be larger than its image, and are decoded one by one.
    tags = getattr(image, "tag_v2", {}) if image.format == "TIFF" else {}
    tile = int(tags.get(322, 0)) * int(tags.get(323, 0))
    if tile * each > MAX_DECODED_BYTES:
        raise BrokenImage(f"it has tiles of {tags[322]} x {tags[323]} pixels (a decompression bomb)")
    needed = width * height * each
    if image.info.get("progressive") or image.info.get("progression"):
        needed += whole[0] * whole[1] * _PROGRESSIVE_BYTES
    slow = any(tile[0] in _SLOW_DECODERS for tile in getattr(image, "tile", ()))
    if needed > MAX_DECODED_BYTES or (slow and width * height > _MAX_SLOW_PIXELS):
        raise BrokenImage(f"it has {whole[0]} x {whole[1]} pixels, more than any photo (a decompression bomb)")


def check_chunks(content: bytes) -> None:
    """Refuse a file with gigantic texts or tags before Pillow copies them."""
    _check_tags_of_file(content)
    if content.startswith(b"\xff\xd8"):
        check_tags(_exif_of_jpeg(content), MAX_EXIF_BYTES)
    if not content.startswith(b"\x89PNG\r\n\x1a\n"):
        return
    at = 8
    while at + 8 <= len(content):
        size, name = int.from_bytes(content[at : at + 4], "big"), content[at + 4 : at + 8]
        if size > _MAX_CHUNK_BYTES and name not in (b"IDAT", b"fdAT"):
            raise BrokenImage(f"it is damaged (a chunk of {size} bytes that are no pixels)")
        if name == b"eXIf":
            check_tags(content[at + 8 : at + 8 + size], MAX_EXIF_BYTES)
        if content[at + 8 : at + 8 + len(_EXIF_TEXT)] == _EXIF_TEXT and name in (b"tEXt", b"zTXt"):
            check_tags(_exif_of_text(name, content[at + 8 + len(_EXIF_TEXT) : at + 8 + size]), MAX_EXIF_BYTES)
        at += size + 12


def _exif_of_text(name: bytes, text: bytes) -> bytes:
    """Return the tags that ImageMagick writes as hexadecimal digits in a text of a PNG file, after three lines."""
    try:
        if name == b"zTXt":
            text = zlib.decompressobj().decompress(text[1:], _MAX_CHUNK_BYTES)
        return bytes.fromhex(b"".join(text.split(b"\n")[3:]).decode("ascii")).removeprefix(b"Exif\0\0")
    except (ValueError, zlib.error):
        return b""  # Pillow refuses it


def _exif_of_jpeg(content: bytes) -> bytes:
    """Return the tags of a JPEG file, of all its segments together: Pillow reads them when it opens the file."""
    at, found = 2, b""
    while content[at : at + 1] == b"\xff" and content[at + 1 : at + 2] != b"\xda":
        size = int.from_bytes(content[at + 2 : at + 4], "big")
        if content[at + 1 : at + 2] == b"\xe1" and content[at + 4 : at + 10] == b"Exif\0\0":
            found += content[at + 10 : at + 2 + size]
        if size < 2 or len(found) > MAX_EXIF_BYTES:
            break
        at += 2 + size
    return found


def _check_tags_of_file(content: bytes) -> None:
    """Refuse a file with gigantic tags where Pillow reads them while it opens the file: TIFF, AVIF and HEIF."""
    if content[:4] in _HEADERS:
        check_tags(content, len(content))
    if content[4:8] != b"ftyp":
        return
    # The place of EXIF in AVIF and HEIF is told by several nested boxes, and libavif takes the first header behind it.
    # So every header counts. Pixels look like one hardly ever, and hardly ever have its directory in the file.
    found = 0
    for header in _HEADERS[:2]:
        at = content.find(header)
        while at >= 0:
            found += 1
            if found > _MAX_HEADERS:
                raise BrokenImage(f"it is damaged (more than {_MAX_HEADERS} directories of tags)")
            check_tags(content, MAX_EXIF_BYTES, at)
            at = content.find(header, at + 1)


def check_tags(content: bytes, most: int, begin: int = 0) -> None:
    """Refuse directories of TIFF whose tags together claim more than ``most`` bytes (and MAX_EXIF_BYTES).

    Many tags may claim the same bytes, so that a file of a megabyte asks for gigabytes. Newer versions of Pillow have a
    bound of their own, older ones that are allowed have none.

    Args:
        content: a file, or a part of one.
        most: bytes that tags may claim.
        begin: place of the header; the offsets inside count from there.

    Raises:
        BrokenImage: when they do, or there are more than 65,535 tags.
    """
    order: Literal["little", "big"] = "little" if content[begin : begin + 2] == b"II" else "big"

    def number(at: int, size: int) -> int:
        return int.from_bytes(content[begin + at : begin + at + size], order)

    big = b"+" in content[begin + 2 : begin + 4]
    offset, of_count, of_entry = (8, 8, 20) if big else (4, 2, 12)  # bytes of an offset, of the count and of an entry
    waiting, seen, claimed, tags = [number(offset, offset)], set[int](), 0, 0
    while waiting:
        directory = waiting.pop()
        if directory in seen:
            continue
        seen.add(directory)
        count = number(directory, of_count)
        tags += count
        if tags > _MAX_TAGS:
            raise BrokenImage("it is damaged (too many tags)")
        for entry in range(count):
            place = directory + of_count + of_entry * entry
            if begin + place + of_entry > len(content):
                break
            if number(place, 2) in _DIRECTORY_TAGS:
                waiting.append(number(place + of_entry - offset, offset))
            claimed += number(place + 4, offset) * _TAG_BYTES.get(number(place + 2, 2), 1)
            if claimed > most + MAX_EXIF_BYTES:
                raise BrokenImage("it is damaged (its tags claim more bytes than it has)")
