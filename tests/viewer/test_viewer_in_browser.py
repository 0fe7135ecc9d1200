"""The viewer in a real browser: turn, change, save, upload, at the width of a desktop and of a phone.

Needs Chromium, and minutes: these tests run where PANOHEAD_BROWSER is set (``make browser``), on a machine that does
nothing else. PANOHEAD_SHOTS=FOLDER leaves screenshots there.
"""

import base64
import io
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh
from PIL import Image

from browser import chromium
from panohead import Camera, load
from panohead.media import is_marked_synthetic

pytest.importorskip("viser", reason="the extra 'view' is not installed")
pytestmark = [
    pytest.mark.skipif(chromium.CHROMIUM is None, reason="there is no Chromium"),
    pytest.mark.skipif("PANOHEAD_BROWSER" not in os.environ, reason="PANOHEAD_BROWSER is not set"),
    pytest.mark.slow,
    pytest.mark.timeout(1200),
]

HARMLESS = re.compile(r"THREE\.Clock|GPU stall|WebGL|GroupMarkerNotSet|swiftshader", re.IGNORECASE)
"""Messages of viser's libraries, and of a browser that draws without a GPU."""
FIND = """
const shown = (part, text) => part.innerText?.trim() === text && part.offsetParent !== null;
window.named = text => [...document.querySelectorAll("button")].find(button => shown(button, text))
    ?? [...document.querySelectorAll("div")].find(part => part.childElementCount <= 1 && shown(part, text));
window.labeled = text => [...document.querySelectorAll("label")].find(
    label => label.innerText.trim() === text && label.offsetParent !== null);
window.control = text => document.getElementById(labeled(text).htmlFor)
    ?? labeled(text).closest(".mantine-Flex-root").querySelector("input");  // texts lack the id
"""


class Page:
    """The viewer's page, by what is written on it."""

    def __init__(self, tab: chromium.Tab, address: str, downloads: Path) -> None:
        self.tab, self.address, self.downloads = tab, address, downloads
        downloads.mkdir()
        tab.ask("Page.setDownloadBehavior", behavior="allow", downloadPath=str(downloads))
        tab.ask("Page.addScriptToEvaluateOnNewDocument", source=FIND)
        self.resize(1280)
        self.load()

    def load(self) -> None:
        self.tab.ask("Page.navigate", url=self.address)
        self.tab.until("document.body && document.body.innerText.includes('full image')")

    def resize(self, width: int) -> None:
        self.tab.ask(
            "Emulation.setDeviceMetricsOverride", width=width, height=800, deviceScaleFactor=1, mobile=width < 600
        )

    def status(self) -> str:
        return str(self.tab.value("[...document.querySelectorAll('p')].map(p => p.innerText).find(t => /yaw/.test(t))"))

    def pose(self) -> tuple[float, float]:
        found = re.search(r"yaw (-?\d+)°, pitch (-?\d+)°", self.status())
        assert found is not None, self.status()
        return float(found[1]), float(found[2])

    def label(self) -> str:
        """The camera's 25 numbers, exactly."""
        return str(self.tab.value("control('Camera label').value"))

    def head(self) -> np.ndarray:
        """What is left of the panel."""
        with Image.open(io.BytesIO(self.shot(clip=CLIP))) as image:
            return np.asarray(image.convert("RGB")).astype(int)

    def settled(self) -> np.ndarray:
        """Wait for a full image that stays for a second."""
        before, end = self.head(), time.monotonic() + 90
        while True:
            assert time.monotonic() < end, self.status()
            time.sleep(1.0)
            pixels = self.head()
            if "full image" in self.status() and difference(pixels, before) == 0:
                return pixels
            before = pixels

    def until_differs(self, other: np.ndarray, low: float, high: float) -> None:
        """Wait for a full image whose mean difference from another, in gray levels, lies between; it may come late."""
        end = time.monotonic() + 90
        while True:
            found = difference(self.head(), other)
            if "full image" in self.status() and low <= found <= high:
                return
            assert time.monotonic() < end, (found, low, high, self.status())
            time.sleep(0.3)

    def changed(self, before: np.ndarray, least: float) -> None:
        """Wait for an image that differs so much from another, and is no preview of it."""
        self.until_differs(before, least, 255)
        time.sleep(1.0)
        self.until_differs(before, least, 255)

    def same(self, before: np.ndarray) -> None:
        """Wait for the image of before."""
        self.until_differs(before, 0, SAME)

    def click(self, text: str) -> None:
        assert self.tab.value(f"!!named({text!r})"), f"{text} is not on the page"
        self.tab.value(f"named({text!r}).click()")

    def key(self, text: str, key: str) -> None:
        """Press a key on the slider with this name."""
        self.tab.until(f"!!labeled({text!r})")
        self.tab.value(f"control({text!r}).querySelector('[role=slider]').focus()")
        self.tab.ask("Input.dispatchKeyEvent", type="keyDown", key=key, code=key)
        self.tab.ask("Input.dispatchKeyEvent", type="keyUp", key=key, code=key)

    def upload(self, file: Path) -> None:
        root = self.tab.ask("DOM.getDocument")["root"]["nodeId"]
        inputs = self.tab.ask("DOM.querySelectorAll", nodeId=root, selector="input[type=file]")["nodeIds"]
        self.tab.ask("DOM.setFileInputFiles", nodeId=inputs[-1], files=[str(file)])

    def downloaded(self, suffix: str) -> Path:
        end = time.monotonic() + 120
        while True:
            found = list(self.downloads.glob(f"*{suffix}"))
            if found:
                return found[0]
            assert time.monotonic() < end, f"no {suffix} file came"
            time.sleep(0.2)

    def keep(self, name: str) -> None:
        if folder := os.environ.get("PANOHEAD_SHOTS"):
            Path(folder).mkdir(exist_ok=True)
            (Path(folder) / f"{name}.png").write_bytes(self.shot())

    def shot(self, **options: Any) -> bytes:
        return base64.b64decode(self.tab.ask("Page.captureScreenshot", format="png", **options)["data"])


CLIP = {"x": 330, "y": 10, "width": 590, "height": 780, "scale": 0.5}
"""Part of the page with the head alone."""


SAME = 0.3
"""Mean difference of two images of the same, in gray levels."""


def difference(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.abs(a - b).mean())


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    folder = tmp_path_factory.mktemp("viewer")
    program = [sys.executable, str(Path(__file__).with_name("quick_viewer.py")), str(folder / "library")]
    with subprocess.Popen(program, stdout=subprocess.PIPE, text=True) as viewer:
        try:
            assert viewer.stdout is not None
            address = viewer.stdout.readline().strip()
            assert address.startswith("http://127.0.0.1:")
            with chromium.chromium(folder / "profile") as tab:
                yield Page(tab, address, folder / "downloads")
        finally:
            viewer.terminate()


def test_mouse_and_keys_turn_the_head(page: Page) -> None:
    first, label = page.settled(), page.label()
    page.keep("viewer_1280")
    assert page.pose() == (0, 0)
    assert label.startswith("1, 0, ")
    page.tab.drag((500, 400), (150, 0))
    page.changed(first, 2)
    yaw, pitch = page.pose()
    assert yaw < -10, "the camera moves against the drag"
    assert abs(pitch) <= 1
    assert page.label() != label
    page.keep("viewer_turned")
    page.click("Front")
    page.same(first)
    assert page.label() == label
    page.tab.click("canvas[data-engine]")
    key = {"key": "ArrowLeft", "code": "ArrowLeft", "windowsVirtualKeyCode": 37}
    page.tab.ask("Input.dispatchKeyEvent", type="keyDown", **key)
    page.tab.until("!/yaw -?0°/.test(document.body.innerText)")
    page.tab.ask("Input.dispatchKeyEvent", type="keyUp", **key)
    page.changed(first, 0.5)
    page.settled()  # a key's turn fades out
    page.click("Front")
    page.same(first)


def test_a_seed_changes_the_head_and_not_its_pose(page: Page) -> None:
    first, label = page.settled(), page.label()
    page.tab.value("control('Seed').focus()")
    page.tab.value("control('Seed').select()")
    page.tab.ask("Input.insertText", text="5")
    page.tab.press("Enter", "\r")
    page.changed(first, 2)
    assert page.label() == label


def test_sliders_change_the_head_and_not_its_pose(page: Page) -> None:
    """An attribute, an ARKit weight beside it, and two of the folder of expressions."""
    page.click("Attributes")
    page.tab.until("!!labeled('age')")
    page.click("Expression")
    first, label = page.settled(), page.label()
    for name, least in (("age", 1), ("jawOpen", 2 * SAME), ("gaze x", 2 * SAME), ("mouthSmileLeft", 2 * SAME)):
        page.key(name, "End")
        page.changed(first, least)
        page.keep(f"viewer_{name.replace(' ', '_')}")
        assert page.label() == label, name
        page.click("As it was")
        page.same(first)


def test_files_that_are_saved_open(page: Page) -> None:
    page.click("Image (PNG)")
    file = page.downloaded(".png")
    with Image.open(file) as image:
        assert image.size == (128, 128)
    assert is_marked_synthetic(file)
    page.click("Mesh (GLB)")
    mesh = page.downloaded(".glb")
    assert is_marked_synthetic(mesh)
    loaded = trimesh.load_scene(mesh).to_geometry()
    assert len(loaded.vertices) > 1000
    assert 0.2 < loaded.extents[1] < 0.5, "meters"


def test_a_photo_is_uploaded_and_becomes_a_head(page: Page, tmp_path: Path) -> None:
    """An aligned crop, so that no detector is needed; and a file that is none."""
    before = page.settled()
    crop = load("demo").sample(11).render(Camera.orbit()).save(tmp_path / "crop.png")
    page.click("Your photo")
    page.tab.until("!!labeled('It is an aligned crop')")
    if not page.tab.value("control('It is an aligned crop').checked"):
        page.tab.value("control('It is an aligned crop').click()")
    (tmp_path / "none.png").write_text("no photo")
    page.upload(tmp_path / "none.png")
    page.tab.until("document.body.innerText.includes('the photo cannot be used')")
    page.upload(crop)
    page.tab.until("document.body.innerText.includes('The head is ready')")
    page.changed(before, 2)
    page.keep("viewer_photo")


def test_on_a_phone_the_panel_leaves_the_head_free(page: Page) -> None:
    page.resize(390)
    page.load()
    page.settled()
    page.keep("viewer_390")
    assert page.tab.value("document.documentElement.scrollWidth <= innerWidth")
    panel = "[...document.querySelectorAll('div')].find(part => getComputedStyle(part).position === 'fixed' && "
    top = page.tab.value(f"{panel}part.innerText.startsWith('PanoHead')).getBoundingClientRect().top")
    assert top >= (800 + 390) / 2, "the head's square is in the middle of 390 x 800"
    page.click("Controls")
    page.tab.until("!!named('Save')")
    page.keep("viewer_390_controls")


def test_nothing_was_complained_about_or_asked_of_others(page: Page) -> None:
    assert [one for one in page.tab.complaints if not HARMLESS.search(one)] == []
    local = ("http://127.0.0.1", "ws://127.0.0.1", "blob:")
    assert [one for one in page.tab.requests if not one.startswith(local)] == []
