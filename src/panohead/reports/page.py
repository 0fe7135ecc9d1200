"""Blocks to HTML: the template engine, and how values are written as text."""

import functools
import json
from itertools import count
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from panohead.reports.blocks import Page
from panohead.reports.drawing import draw
from panohead.reports.head_figures import content_security_policy, viewer_asset, viewer_scripts
from panohead.system.atomic_write import REMEDY, write_bytes
from panohead.system.text import printable


def render_page(page: Page) -> str:
    """Return the page as one HTML document that needs no network (linked files lie beside it).

    It holds no script unless it shows heads to turn or images to filter, and then those of
    :mod:`panohead.reports.head_figures` alone.
    """
    numbers = count()
    sheets = {"viewer.css": page.shows_heads, "browser.css": page.shows_browser}
    styles = [name for name, is_used in sheets.items() if is_used]
    template = _environment().get_template("page.html")
    return template.render(
        page=page,
        drawn=lambda chart: draw(chart, f"chart{next(numbers)}"),
        number=lambda: next(numbers),
        policy=content_security_policy(scripts=page.shows_heads, browser=page.shows_browser),
        viewer_style=Markup("\n").join(Markup(viewer_asset(name)) for name in styles),  # nosec B704
        scripts=viewer_scripts(heads=page.shows_heads, browser=page.shows_browser),
    )


def write_page(page: Page, path: Path, *, remedy: str = REMEDY) -> Path:
    """Write the page, atomically.

    Raises:
        PanoHeadError: when it cannot be written; ends with the remedy.
    """
    write_bytes(path, render_page(page).encode("utf-8"), remedy=remedy)
    return path


def readable(value: object) -> str:
    """Return numbers with at most six digits, None as a dash, lists and dictionaries as JSON, others as they are."""
    if value is None:
        return "\N{EN DASH}"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list | dict):
        return json.dumps(value)
    return str(value)


def _plain_text(value: object) -> object:
    """Prepare one value of the template for escaping; what the template itself has made is left alone."""
    return value if isinstance(value, Markup) else printable(readable(value))


@functools.cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("panohead.reports"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_plain_text,
        trim_blocks=True,
        lstrip_blocks=True,
    )
