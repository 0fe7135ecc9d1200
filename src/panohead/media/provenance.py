"""Marks in image and video files which say that they are synthetic; :mod:`panohead.media.marks` reads them.

The machine-readable mark is the IPTC "digital source type" (https://cv.iptc.org/newscodes/digitalsourcetype/) in an XMP
packet, which photo agencies, search engines and social networks read; beside it stands a sentence for people.
Pixels are not touched: a mark can be stripped, it is a declaration and not a watermark.
"""

import functools
import importlib.metadata
from pathlib import Path
from typing import Any, Literal

from PIL import ExifTags, Image, PngImagePlugin

from panohead.errors import PanoHeadError

SourceType = Literal["trainedAlgorithmicMedia", "compositeWithTrainedAlgorithmicMedia", "algorithmicMedia"]
"""IPTC terms: made by a trained model alone | a photograph altered by one | rendered by a program without training."""

GENERATED: SourceType = "trainedAlgorithmicMedia"
COMPOSITE: SourceType = "compositeWithTrainedAlgorithmicMedia"
RENDERED: SourceType = "algorithmicMedia"

NOTICE = "Synthetic media: made by a computer program (PanoHead), not a photograph."
_VOCABULARY = "http://cv.iptc.org/newscodes/digitalsourcetype/"
_VIDEO_SUFFIXES = (".mp4", ".webm", ".mkv", ".mov")
_XMP_KEYWORD = "XML:com.adobe.xmp"
# The begin attribute holds U+FEFF and the id is fixed by the XMP specification, part 1, section 7.3.2.
_XMP = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
 xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmlns:dc="http://purl.org/dc/elements/1.1/"
 Iptc4xmpExt:DigitalSourceType="{source}" xmp:CreatorTool="{software}">
<dc:description><rdf:Alt><rdf:li xml:lang="x-default">{notice}</rdf:li></rdf:Alt></dc:description>
</rdf:Description></rdf:RDF></x:xmpmeta>
<?xpacket end="r"?>"""


@functools.cache
def software() -> str:
    """Return name and version of this package, as written into files."""
    try:
        return f"PanoHead {importlib.metadata.version('panohead')}"
    except importlib.metadata.PackageNotFoundError:
        return "PanoHead"


def source_uri(source: SourceType) -> str:
    """Return the IPTC term as a URI."""
    return _VOCABULARY + source


def xmp_packet(source: SourceType) -> bytes:
    """Return the XMP packet with the mark, UTF-8."""
    return _XMP.format(source=source_uri(source), software=software(), notice=NOTICE).encode()


def _png_text(source: SourceType | None, extra: dict[str, str]) -> PngImagePlugin.PngInfo:
    text = PngImagePlugin.PngInfo()
    for key, value in {"Software": software(), **extra}.items():
        text.add_text(key, value)
    if source is not None:
        text.add_text("Comment", NOTICE)
        text.add_text("DigitalSourceType", source_uri(source))
        text.add_itxt(_XMP_KEYWORD, xmp_packet(source).decode())
    return text


def image_metadata(suffix: str, source: SourceType | None, extra: dict[str, str] | None = None) -> dict[str, Any]:
    """Return keyword arguments for ``PIL.Image.save`` that carry the mark.

    Args:
        suffix: ".png", ".jpg", ".jpeg" or ".webp".
        source: IPTC term; None for a photograph, about which nothing is claimed.
        extra: further PNG text chunks.
    """
    if suffix == ".png":
        return {"pnginfo": _png_text(source, extra or {})}
    exif = Image.Exif()
    exif[ExifTags.Base.Software] = software()
    if source is None:
        return {"exif": exif}
    exif[ExifTags.Base.ImageDescription] = NOTICE
    return {"exif": exif, "xmp": xmp_packet(source)}


def video_metadata(source: SourceType | None) -> dict[str, str]:
    """Return the container tags of a video; those of a video of photographs (None) make no claim."""
    if source is None:
        return {"encoded_by": software()}
    return {
        "title": f"{software()}, synthetic",
        "comment": f"{NOTICE} {source_uri(source)}",
        "encoded_by": software(),
    }


def page_metadata(source: SourceType = GENERATED) -> dict[str, str]:
    """Return names and contents of the meta elements of a page whose images are generated, or of photos beside them."""
    return {
        "generator": software(),
        "description": NOTICE,
        "DigitalSourceType": source_uri(source),
    }


def append_gif_comment(path: Path, source: SourceType) -> None:
    """Insert a comment extension before the trailer of a GIF file (ffmpeg writes none).

    Raises:
        PanoHeadError: when the file has no trailer.
    """
    comment = f"{NOTICE} {source_uri(source)}".encode("ascii")
    blocks = b"".join(bytes([len(part)]) + part for part in (comment[i : i + 255] for i in range(0, len(comment), 255)))
    with path.open("r+b") as file:
        file.seek(-1, 2)
        if file.read(1) != b";":
            raise PanoHeadError(f"{path} is not a complete GIF file; write it again")
        file.seek(-1, 2)
        file.write(b"!\xfe" + blocks + b"\x00;")
