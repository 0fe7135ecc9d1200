"""Web pages and charts: one template for every page that the package writes.

A page is a list of blocks (:mod:`panohead.reports.blocks`, :mod:`panohead.reports.charts`) that hold plain values;
:func:`write_page` turns them into HTML that needs no network, and no scripts but those of heads to turn and of
images to filter (:mod:`panohead.reports.head_figures`). Only the template writes tags, and it escapes every value.
"""

from panohead.reports.blocks import (
    Figure,
    Figures,
    Folded,
    KeyNumbers,
    KeyValues,
    Link,
    Note,
    NoteList,
    Page,
    PageBlock,
    Paragraph,
    Section,
    Table,
    Video,
    embedded,
    url,
)
from panohead.reports.charts import Chart, Charts, Series
from panohead.reports.head_figures import FrameSheet, HeadFigure, HeadFigures
from panohead.reports.image_browser import BrowserImage, ImageBrowser
from panohead.reports.page import render_page, write_page

__all__ = [
    "BrowserImage",
    "Chart",
    "Charts",
    "Figure",
    "Figures",
    "Folded",
    "FrameSheet",
    "HeadFigure",
    "HeadFigures",
    "ImageBrowser",
    "KeyNumbers",
    "KeyValues",
    "Link",
    "Note",
    "NoteList",
    "Page",
    "PageBlock",
    "Paragraph",
    "Section",
    "Series",
    "Table",
    "Video",
    "embedded",
    "render_page",
    "url",
    "write_page",
]
