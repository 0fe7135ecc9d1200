"""The contents of a page as plain values: paragraphs, notes, tables, figures, videos, links.

All texts are plain text, never HTML: the template escapes them.
"""

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal
from urllib.parse import quote

from PIL import Image

from panohead.reports.charts import Charts
from panohead.reports.head_figures import HeadFigures
from panohead.reports.image_browser import ImageBrowser


@dataclass(frozen=True)
class Link:
    """A link to a file beside the page.

    Attributes:
        text: words to click on.
        href: address, as :func:`url` makes it.
        download: offer to save the file instead of opening it.
    """

    text: str
    href: str
    download: bool = False


@dataclass(frozen=True)
class Paragraph:
    """A paragraph, and links after it, separated by commas."""

    text: str = ""
    tone: Literal["plain", "soft", "warning"] = "plain"
    links: Sequence[Link] = ()
    kind: ClassVar[str] = "paragraph"


@dataclass(frozen=True)
class Note:
    """One entry of a note list.

    Attributes:
        text: sentence.
        label: a few words before it, such as the point in time.
        hint: text that appears under the pointer.
        tone: "soft" for less important ones.
    """

    text: str
    label: str = ""
    hint: str = ""
    tone: Literal["plain", "soft"] = "plain"


@dataclass(frozen=True)
class NoteList:
    """Bulleted notes."""

    notes: Sequence[Note]
    kind: ClassVar[str] = "notes"


@dataclass(frozen=True)
class KeyNumbers:
    """The few most important values of a page as large tiles, by name."""

    values: Mapping[str, object]
    kind: ClassVar[str] = "key_numbers"


@dataclass(frozen=True)
class KeyValues:
    """A table of names and values."""

    values: Mapping[str, object]
    kind: ClassVar[str] = "key_values"


@dataclass(frozen=True)
class Table:
    """A table with a header row; the first column names the rows."""

    header: Sequence[str]
    rows: Sequence[Sequence[object]]
    kind: ClassVar[str] = "table"


@dataclass(frozen=True)
class Figure:
    """An image with a caption.

    Attributes:
        source: address of a file beside the page (:func:`url`), an :func:`embedded` image, or "" for a caption alone.
        alt: the image in words, for those who do not see it.
        title: first line of the caption, in bold.
        caption: further lines.
        warnings: lines of the caption that say what is wrong.
        state: color of the card's edge: "good", "fair", "bad" or "" for none.
        linked: the image is a link to its file.
    """

    source: str
    alt: str = ""
    title: str = ""
    caption: Sequence[str] = ()
    warnings: Sequence[str] = ()
    state: Literal["", "good", "fair", "bad"] = ""
    linked: bool = False


@dataclass(frozen=True)
class Figures:
    """Figures in a grid.

    Attributes:
        figures: in order.
        column_rem: minimum width of a column in root ems (about 16 pixels each).
        enlarged: scale small images up to the width of their column.
    """

    figures: Sequence[Figure]
    column_rem: int = 15
    enlarged: bool = False
    kind: ClassVar[str] = "figures"


@dataclass(frozen=True)
class Video:
    """A video that plays in the page, with controls and without sound.

    Attributes:
        source: address of the file (:func:`url`).
        alt: the video in words.
        autoplay: start by itself.
    """

    source: str
    alt: str
    autoplay: bool = False
    kind: ClassVar[str] = "video"


@dataclass(frozen=True)
class Folded:
    """Blocks behind a title to click on; unfolded at first on request."""

    title: str
    blocks: Sequence["PageBlock"]
    unfolded: bool = False
    kind: ClassVar[str] = "folded"


@dataclass(frozen=True)
class Section:
    """Blocks under a heading; sections in sections get smaller ones (levels 2 and 3)."""

    title: str
    blocks: Sequence["PageBlock"]
    level: Literal[2, 3] = 2
    kind: ClassVar[str] = "section"


PageBlock = (
    Paragraph
    | NoteList
    | KeyNumbers
    | KeyValues
    | Table
    | Figures
    | Video
    | HeadFigures
    | ImageBrowser
    | Folded
    | Section
    | Charts
)


@dataclass(frozen=True)
class Page:
    """A whole page.

    Attributes:
        title: heading, and title of the window unless ``window_title`` is given.
        blocks: contents, in order.
        window_title: title of the browser's window; None for ``title``.
        metadata: names and contents of meta elements, such as the mark that the page is synthetic.
    """

    title: str
    blocks: Sequence[PageBlock]
    window_title: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)

    @property
    def shows_heads(self) -> bool:
        """True where a head to turn is anywhere on the page, so that it needs scripts."""
        return _hold(HeadFigures, self.blocks)

    @property
    def shows_browser(self) -> bool:
        """True where images to filter are anywhere on the page, so that it needs a script."""
        return _hold(ImageBrowser, self.blocks)


def _hold(kind: type, blocks: Sequence[PageBlock]) -> bool:
    return any(
        isinstance(block, kind) or (isinstance(block, Section | Folded) and _hold(kind, block.blocks))
        for block in blocks
    )


def url(*parts: str) -> str:
    """Return the relative address of a file from the parts of its path, percent-encoded.

    A colon is encoded too, so that no name can be read as a scheme such as ``javascript:``.
    """
    return quote("/".join(parts), safe="/", errors="surrogateescape")


def embedded(image: Image.Image) -> str:
    """Return an image as a ``data:`` address (PNG), for pages that are one file."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"
