"""The page of a dataset in a real browser, from a file: it filters, pages, and asks nobody for anything.

Needs Chromium. PANOHEAD_SHOTS=FOLDER leaves screenshots there.
"""

import os
from pathlib import Path

import pytest
from PIL import Image

from browser.chromium import CHROMIUM, chromium
from panohead.reports import BrowserImage, ImageBrowser, Page, write_page
from panohead.reports.image_browser import thumbnail

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium")
COUNT = 300


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    images = []
    for number in range(COUNT):
        color = (number % 256, 90, 255 - number % 256)
        images.append(
            BrowserImage(
                name=f"{number:03d}.png",
                thumbnail=b"" if number == 7 else thumbnail(Image.new("RGB", (96, 96), color)),
                yaw_deg=None if number == 8 else number * 360 / COUNT - 180,
                pitch_deg=None if number == 8 else 3.0,
                flags=["broken"] if number == 7 else ["no camera"] if number == 8 else [],
                problem="not readable" if number == 7 else "",
                attributes={"age": float(number % 80), "hair_style": "<b>bob</b>" if number % 2 else "long"},
            )
        )
    path = tmp_path_factory.mktemp("page") / "view.html"
    return write_page(Page("Dataset test", [ImageBrowser(images)]), path)


@pytest.mark.parametrize("width", [1280, 390])
def test_a_reader_filters_and_turns_pages(page: Path, tmp_path: Path, width: int) -> None:
    with chromium(tmp_path / "profile") as tab:
        tab.open(page, width=width)

        def count() -> str:
            return str(tab.value("document.querySelector('.count').textContent"))

        cards = "document.querySelectorAll('.thumbnails button').length"
        assert count() == "300 of 300 images, page 1 of 3"
        assert tab.value(cards) == 120
        assert tab.value("document.body.scrollWidth <= window.innerWidth")
        tab.press("ArrowRight")
        assert count() == "300 of 300 images, page 2 of 3"
        tab.value(
            "[...document.querySelectorAll('.flags button')].find(b => b.textContent.startsWith('broken')).click()"
        )
        assert count() == "1 of 300 images, page 1 of 1"
        assert tab.value("document.querySelector('.thumbnails button').textContent") == "007.png"
        tab.value("document.querySelector('.thumbnails button').click()")
        assert tab.value("document.querySelector('dialog').open")
        assert "not readable" in tab.value("document.querySelector('dialog').textContent")
        assert "<b>bob</b>" in tab.value("document.querySelector('dialog').textContent")
        tab.value("document.querySelector('dialog button').click()")
        tab.value(
            "[...document.querySelectorAll('.flags button')].find(b => b.textContent.startsWith('broken')).click()"
        )
        front = "[...document.querySelectorAll('.bins button')].find(b => b.textContent.startsWith('0°'))"
        tab.value(f"{front}.click()")
        expected = sum(number != 8 and -15 <= number * 360 / COUNT - 180 < 15 for number in range(COUNT))
        assert count().startswith(f"{expected} of 300")
        tab.value(f"{front}.click()")
        set_value = "(f, v, e) => { f.value = v; f.dispatchEvent(new Event(e)); }"
        tab.value(f"({set_value})(document.querySelectorAll('.attributes input')[0], '70', 'input')")
        old = sum(number % 80 >= 70 for number in range(COUNT))
        assert count().startswith(f"{old} of 300")
        tab.value(f"({set_value})(document.querySelector('.attributes select'), 'long', 'change')")
        both = sum(number % 80 >= 70 and number % 2 == 0 for number in range(COUNT))
        assert count().startswith(f"{both} of 300")
        tab.value(f"({set_value})(document.querySelector('.attributes select'), '', 'change')")
        tab.value(f"({set_value})(document.querySelectorAll('.attributes input')[0], '', 'input')")
        if (shots := os.environ.get("PANOHEAD_SHOTS")) is not None:
            Image.fromarray(tab.image("body").astype("uint8")).save(Path(shots) / f"dataset_{width}.png")
        assert tab.complaints == []
        assert [address for address in tab.requests if not address.startswith("file:")] == []
