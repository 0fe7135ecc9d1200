"""Pillow images that say they are synthetic, also when they are saved by Pillow itself."""

from pathlib import Path
from typing import Any

from PIL import Image

from panohead.media.provenance import COMPOSITE, GENERATED, NOTICE, SourceType, image_metadata, source_uri, xmp_packet

_METADATA = ("pnginfo", "exif", "xmp", "comment")
_SUFFIXES = {"PNG": ".png", "JPEG": ".jpg", "WEBP": ".webp"}


class MarkedImage(Image.Image):
    """A Pillow image whose ``info`` and whose ``save`` carry the mark (see :mod:`panohead.media.provenance`).

    Images that Pillow derives from it (resized, pasted) are plain ones again; their ``info`` still has the mark, but
    Pillow does not write it to PNG. :func:`panohead.media.save_image` does.
    """

    def save(self, fp: Any, format: str | None = None, **params: Any) -> None:
        """Save as ``PIL.Image.Image.save`` does, with the mark unless metadata are given."""
        if not any(name in params for name in _METADATA):
            params |= _marks(format or _format_of(fp), self.info.get("DigitalSourceType", source_uri(GENERATED)))
        super().save(fp, format, **params)


def marked(image: Image.Image, source: SourceType = GENERATED) -> Image.Image:
    """Turn an image, in place, into a MarkedImage and return it.

    Args:
        image: made from pixels, not opened from a file.
        source: IPTC term.
    """
    image.info |= {"Comment": NOTICE, "DigitalSourceType": source_uri(source), "xmp": xmp_packet(source)}
    image.__class__ = MarkedImage
    return image


def _format_of(fp: Any) -> str:
    name = fp if isinstance(fp, str | Path) else getattr(fp, "name", "")
    return Image.registered_extensions().get(Path(str(name)).suffix.lower(), "")


def _marks(format: str, uri: str) -> dict[str, Any]:
    source = COMPOSITE if uri == source_uri(COMPOSITE) else GENERATED
    if format.upper() in _SUFFIXES:
        return image_metadata(_SUFFIXES[format.upper()], source)
    if format.upper() == "GIF":
        return {"comment": f"{NOTICE} {source_uri(source)}"}
    if format.upper() in ("TIFF", "AVIF"):
        return {"exif": image_metadata(".jpg", source)["exif"]}
    return {}
