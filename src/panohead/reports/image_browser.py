"""Images of a dataset as a grid that a reader filters and pages through: what a page holds for it."""

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from PIL import Image

MAX_IMAGES = 5000
"""Images on one page, about 2 kB each."""
_THUMBNAIL_PX, _QUALITY = 96, 70


@dataclass(frozen=True, kw_only=True)
class BrowserImage:
    """One image.

    Attributes:
        name: its name in the dataset.
        thumbnail: WebP file (:func:`thumbnail`); empty where there is no readable image.
        yaw_deg, pitch_deg: direction of its camera; None without one.
        flags: what is to be said about it in a few words each, such as "no mask"; readers filter by them.
        problem: what is wrong with it, in a sentence; "" for nothing.
        attributes: numbers and words by name; readers filter by them.
        file: address of the image beside the page (:func:`panohead.reports.url`); "" for none.
        overlay: address of an image beside the page that shows the crop in its photo; "" for none.
    """

    name: str
    thumbnail: bytes = b""
    yaw_deg: float | None = None
    pitch_deg: float | None = None
    flags: Sequence[str] = ()
    problem: str = ""
    attributes: Mapping[str, float | str] = field(default_factory=dict)
    file: str = ""
    overlay: str = ""

    def facts(self) -> dict[str, Any]:
        """Return what the script reads, as JSON can hold it."""
        facts: dict[str, Any] = {"name": self.name, "attributes": dict(self.attributes), "flags": list(self.flags)}
        facts |= {"image": base64.b64encode(self.thumbnail).decode("ascii")} if self.thumbnail else {}
        optional = {"problem": self.problem, "file": self.file, "overlay": self.overlay}
        if self.yaw_deg is not None and self.pitch_deg is not None:
            facts |= {"yaw": round(self.yaw_deg, 1), "pitch": round(self.pitch_deg, 1)}
        return facts | {key: value for key, value in optional.items() if value}


@dataclass(frozen=True)
class ImageBrowser:
    """A grid of images by yaw, with filters."""

    images: Sequence[BrowserImage]
    kind: ClassVar[str] = "browser"

    def facts(self) -> list[dict[str, Any]]:
        """Return what the script reads."""
        return [image.facts() for image in self.images]


def thumbnail(image: Image.Image) -> bytes:
    """Return a small copy as a WebP file."""
    small = image.convert("RGB")
    small.thumbnail((_THUMBNAIL_PX, _THUMBNAIL_PX), Image.Resampling.BOX)
    buffer = io.BytesIO()
    small.save(buffer, "WEBP", quality=_QUALITY, method=2)
    return buffer.getvalue()
