"""Blocks become HTML; a value is never markup."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pages import parse_page
from panohead.errors import PanoHeadError
from panohead.reports import (
    Chart,
    Charts,
    Figure,
    Figures,
    Folded,
    FrameSheet,
    HeadFigure,
    HeadFigures,
    KeyNumbers,
    KeyValues,
    Link,
    Note,
    NoteList,
    Page,
    Paragraph,
    Section,
    Series,
    Table,
    Video,
    embedded,
    render_page,
    url,
    write_page,
)
from panohead.reports.page import readable

HOSTILE = (
    "<script>alert('1')</script>\"&amp;",
    "</title></style><img src=x onerror=alert(1)>",
    "\u202egnp.exe\u2066 \u200f\u05d0\u0627",
    "{{ 7 * 7 }}{% raw %}{# #}",
    "a\x00\x1b[31m\n\t\udcff\ud800",
    "w" * 5000,
    "' onmouseover='alert(1)",
    "</script><script>alert(1)</script><!--<script>",
)


def head(text: str) -> HeadFigure:
    """A head to turn with the text in every place that takes one."""
    sheet = FrameSheet(b"RIFF", side=16, columns=2, count=3)
    poster = embedded(Image.new("RGB", (2, 2)))
    return HeadFigure(text, poster, frames=sheet, invented=sheet, glb=b"glTF", title=text, note=text, file=text)


def everything(text: str) -> Page:
    """A page with the text in every place that takes one."""
    curve = Series(text, np.arange(3.0), np.arange(3.0))
    return Page(
        text,
        [
            Paragraph(text, links=[Link(text, url(text.encode("utf-8", "replace").decode()))]),
            NoteList([Note(text, text, text)]),
            KeyNumbers({text: text}),
            KeyValues({text: text, "list": [text], "dictionary": {text: text}}),
            Table((text, text), [(text, text)]),
            Figures([Figure(embedded(Image.new("RGB", (2, 2))), text, text, [text], [text], "bad", linked=True)]),
            Video(url("a.mp4"), text),
            Charts([Chart(text, (curve, curve), x_label=text, caption=text)]),
            Folded(text, [Section(text, [Paragraph(text)], level=3)]),
            HeadFigures([head(text), head(text)]),
        ],
        metadata={"description": text},
    )


@pytest.mark.parametrize("text", HOSTILE)
def test_texts_are_never_markup(text: str) -> None:
    harmless, hostile = parse_page(render_page(everything("words"))), parse_page(render_page(everything(text)))
    assert hostile.names == harmless.names
    assert [a[:2] for a in hostile.attributes] == [a[:2] for a in harmless.attributes]
    shown = hostile.all_text() + " ".join(hostile.values("alt"))
    assert not any(c in shown for c in "\u202e\u2066\u200f\x00\x1b\udcff")


def test_readable_texts_are_shown_as_they_are() -> None:
    text = '\u05d0\u05d1 h\u00fcbsch \u4f60\u597d <b> & "x" 49'
    page = parse_page(render_page(everything(text)))
    for tag in ("h1", "title", "p", "li", "dt", "dd", "th", "td", "figcaption", "summary", "h3", "a"):
        assert any(text in piece for piece in page.texts[tag]), tag
    assert text in page.values("alt")


def test_page_without_a_block_and_with_empty_ones() -> None:
    page = parse_page(render_page(Page("t", [KeyNumbers({}), KeyValues({}), Figures([]), Charts([]), NoteList([])])))
    assert page.texts["h1"] == ["t"]
    assert "table" not in page.names


def test_window_title() -> None:
    assert parse_page(render_page(Page("a", [], window_title="a: b"))).texts["title"] == ["a: b"]


def test_values_are_readable() -> None:
    values = (None, 0.1234567, 12, [1, 2], {}, True, "text")
    assert [readable(v) for v in values] == ["\N{EN DASH}", "0.123457", "12", "[1, 2]", "{}", "True", "text"]


@pytest.mark.parametrize("name", ["javascript:alert(1)", "//elsewhere/x", "a b?#%.png", 'q"uote', "\u00fc", "\udcff"])
def test_addresses_stay_beside_the_page(name: str) -> None:
    address = url("folder", name) if name.startswith("/") else url(name)
    assert all(c.isascii() and c not in " \"'<>?#:" for c in address)
    assert not address.startswith("//")


def test_video_plays_in_place_and_images_load_when_needed() -> None:
    page = parse_page(
        render_page(Page("t", [Video("a.mp4", "a turn", autoplay=True), Figures([Figure("a.png", "x")])]))
    )
    video = {name: value for tag, name, value in page.attributes if tag == "video"}
    assert {"controls", "loop", "muted", "playsinline", "autoplay"} <= set(video)
    assert (video["src"], video["aria-label"]) == ("a.mp4", "a turn")
    assert ("img", "loading", "lazy") in page.attributes


def test_page_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    assert write_page(Page("first", []), path) == path
    with pytest.raises(ValueError, match="concatenate"):
        write_page(Page("second", [Charts([Chart("no curve", ())])]), path)
    assert "first" in path.read_text()
    (tmp_path / "file").write_text("")
    with pytest.raises(PanoHeadError, match="choose another place"):
        write_page(Page("t", []), tmp_path / "file" / "page.html", remedy="free the disk")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "page.html"]
