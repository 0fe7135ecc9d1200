"""The whole viewer over its sockets: the page, images for a moving camera, refusals, files, and a clean end."""

import asyncio
import io
import math
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import pytest
from PIL import Image

import tiny
from panohead.checkpoint import Checkpoint
from panohead.cli.main import main
from panohead.errors import PanoHeadError, UsageError
from panohead.predictor import Predictor
from panohead.viewer.head_viewer import HeadViewer

pytest.importorskip("viser", reason="the extra 'view' is not installed")
websockets = pytest.importorskip("websockets")

from viewer.socket_browser import Browser, browser, difference, get, protocol, socket_of, wait, with_browser  # noqa: E402

TOKEN = "0123456789abcdef"


@pytest.fixture(scope="module")
def viewer() -> Iterator[HeadViewer]:
    with HeadViewer(Predictor(tiny.generator()), port=0) as made:
        yield made


def test_the_page_loads_nothing_from_elsewhere(viewer: HeadViewer) -> None:
    answer = get(viewer, "/")
    assert answer.status == 200
    assert b"<html" in answer.content
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "http" not in policy
    assert "frame-ancestors 'none'" in policy


def test_turning_and_another_seed_change_the_image_and_coming_back_restores_it(viewer: HeadViewer) -> None:
    async def act(browser: Browser) -> None:
        first = await browser.rest()
        assert first.size == (160, 90)
        await browser.look(120)
        side = await browser.rest()
        await browser.change("Seed", 5)
        other = await browser.rest()
        await browser.change("Seed", 0)
        await browser.look(0)
        again = await browser.rest()
        assert difference(first, side) > 1
        assert difference(side, other) > 1
        assert difference(first, again) < 0.5

    with_browser(viewer, act)


def test_tabs_have_their_own_state(viewer: HeadViewer) -> None:
    async def run() -> None:
        async with browser(viewer) as one, browser(viewer) as other:
            for tab in (one, other):
                await tab.look(0)
                await tab.rest()
            before = other.images[-1]
            await one.change("Seed", 9)
            assert difference(await one.rest(), before) > 1
            await other.look(1)
            await other.look(0)
            assert difference(await other.rest(), before) < 0.5

    asyncio.run(run())


def test_only_controls_that_do_something_are_there(viewer: HeadViewer) -> None:
    async def act(browser: Browser) -> None:
        await browser.until(lambda: "Photo ..." in browser.controls)
        await browser.rest()
        assert {"Seed", "Truncation", "Blend", "Show", "Background", "Mesh (GLB)"} <= set(browser.controls)
        assert "Attributes" not in browser.controls, "this model has no attribute encoder"

    with_browser(viewer, act)


def test_a_phone_gets_its_controls_in_one_folder_that_is_closed(viewer: HeadViewer) -> None:
    async def controls(width: int, height: int) -> set[str]:
        async with browser(viewer) as made:
            await made.look(0, width, height)
            await made.until(lambda: "Photo ..." in made.controls)
            return set(made.controls)

    assert asyncio.run(controls(90, 160)) - asyncio.run(controls(160, 90)) == {"Controls"}


def test_an_attribute_changes_the_head_until_it_is_taken_back() -> None:
    generator = tiny.generator()
    checkpoint = Checkpoint({"G_ema": generator, "attributes": tiny.attribute_encoder()})

    async def act(browser: Browser) -> None:
        await browser.look(0)
        first = await browser.rest()
        controls = set(browser.controls)
        assert {"Attributes", "age", "hair style", "jawOpen", "Expression", "gaze x", "As it was"} <= controls
        await browser.change("age", 85.0)
        await browser.change("hair style", "long")
        changed = await browser.rest()
        assert difference(changed, first) > 1
        await browser.change("As it was", True)
        assert difference(await browser.rest(), first) < 0.5

    with HeadViewer(Predictor(generator, checkpoint), port=0) as viewer:
        with_browser(viewer, act)


def test_files_are_sent(viewer: HeadViewer) -> None:
    async def act(browser: Browser) -> None:
        await browser.rest()
        await browser.change("Image (PNG)", True)
        await browser.until(lambda: any(name.endswith(".png") for name in browser.files))
        ((name, content),) = browser.files.items()
        assert name == "seed0000_yaw+000_image.png"
        side = viewer.shared.generator.config.superresolution.output_resolution
        assert Image.open(io.BytesIO(browser.files[name])).size == (side, side)
        assert content[:4] == b"\x89PNG"

    with_browser(viewer, act)


def test_uploads_that_are_no_photos_are_answered(viewer: HeadViewer) -> None:
    async def act(browser: Browser) -> None:
        await browser.upload("Choose ...", b"%!PS-Adobe-3.0 EPSF-3.0")
        await browser.until(lambda: any("the photo cannot be used" in text for text in browser.texts))

    with_browser(viewer, act)


def test_a_photo_becomes_a_head_or_is_cancelled(viewer: HeadViewer, monkeypatch: pytest.MonkeyPatch) -> None:
    from panohead.viewer import photo_panel
    from panohead.viewer.jobs import Job

    predictor = viewer.shared.heads.predictor
    waiting, cancelled = threading.Event(), threading.Event()

    def quick(_predictor: Any, photo: Image.Image, camera: Any, job: Job, report: Any, give_way: Any) -> Any:
        assert photo.size == (16, 16)
        report(0.5, "search 1/2")
        give_way()
        if photo.getpixel((0, 0)) == (0, 0, 0):
            waiting.set()
            while not job.is_cancelled():
                time.sleep(0.01)
            cancelled.set()
        job.check()
        return predictor.sample(77)

    monkeypatch.setattr(photo_panel, "reconstruct_photo", quick)

    def png(level: int) -> bytes:
        stream = io.BytesIO()
        Image.new("RGB", (16, 16), (level, level, level)).save(stream, "PNG")
        return stream.getvalue()

    async def act(browser: Browser) -> None:
        before = await browser.rest()
        await browser.upload("Photo ...", png(0))
        await asyncio.to_thread(waiting.wait, 5)
        await browser.change("Cancel", True)
        assert await asyncio.to_thread(cancelled.wait, 5)
        await browser.upload("Photo ...", png(200))
        await browser.until(lambda: any("The head is ready" in text for text in browser.texts))
        assert difference(await browser.rest(), before) > 1

    with_browser(viewer, act)
    wait(lambda: not viewer.shared.heads._owners, "the visitor's photo head is forgotten")


def test_nothing_is_kept_of_who_left(viewer: HeadViewer) -> None:
    async def act(browser: Browser) -> None:
        await browser.rest()

    with_browser(viewer, act)
    wait(lambda: not viewer._tabs, "tabs are forgotten")
    threads = threading.active_count()
    with_browser(viewer, act)
    wait(lambda: not viewer._tabs, "tabs are forgotten")
    wait(lambda: threading.active_count() <= threads, "no thread is left of a browser")
    assert not viewer.shared.queue._tabs
    assert not viewer.shared.queue._waiting


def test_the_token_is_asked_for_and_the_end_is_clean(tmp_path: Path) -> None:
    before = set(threading.enumerate())
    viewer = HeadViewer(Predictor(tiny.generator()), port=0, token=TOKEN, library=tmp_path)
    try:
        assert viewer.url.endswith(f"/?token={TOKEN}")
        assert get(viewer, "/").status == 403
        answer = get(viewer, f"/?token={TOKEN}")
        assert (answer.status, answer.headers["Location"]) == (303, "/")
        cookie = answer.headers["Set-Cookie"].partition(";")[0]
        assert get(viewer, "/", Cookie=cookie).status == 200

        async def run() -> float:
            with pytest.raises(websockets.exceptions.InvalidStatus, match="403"):
                await websockets.connect(socket_of(viewer), subprotocols=[protocol()])
            async with browser(viewer, additional_headers={"Cookie": cookie}) as made:
                await made.look(0)
                await made.next_image()
                begin = time.monotonic()
                assert await asyncio.to_thread(viewer.close)
                return time.monotonic() - begin

        assert asyncio.run(run()) < 10  # 2 s on an idle machine
    finally:
        viewer.close()
    wait(lambda: not {t for t in set(threading.enumerate()) - before if t.is_alive()}, "no thread is left")


def test_a_port_in_use_and_a_strange_viser_are_named(viewer: HeadViewer, monkeypatch: pytest.MonkeyPatch) -> None:
    predictor = viewer.shared.heads.predictor
    with pytest.raises(PanoHeadError, match="cannot listen"):
        HeadViewer(predictor, port=urlsplit(viewer.url).port or 0)
    with pytest.raises(UsageError, match="port"):
        HeadViewer(predictor, port=70_000)
    import websockets.asyncio.server as library
    from viser.infra import _infra

    monkeypatch.setattr(_infra, "websockets", _Renamed(websockets, library.serve))
    with pytest.raises(PanoHeadError, match=r"pip install 'viser"):
        HeadViewer(predictor, port=0)


class _Renamed:
    """The module websockets, whose server is made by a function of another name."""

    def __init__(self, module: Any, serve: Any) -> None:
        self._module = module
        self.asyncio = type("Part", (), {"server": type("Part", (), {"serve": serve, "ServerConnection": object})})

    def __getattr__(self, name: str) -> Any:
        return getattr(self._module, name)


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["--host", "0.0.0.0"], 2, "everyone on the network"),
        (["--token", "short"], 2, "--token is too easy to guess"),
        (["--port", "70000"], 2, "--port"),
        (["--checkpoint", "nowhere.safetensors"], 1, "nowhere.safetensors"),
        (["--head", "nowhere"], 1, "nowhere"),
    ],
)
def test_the_command_refuses(
    arguments: list[str], code: int, sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["view", *arguments]) == code
    assert sentence in capsys.readouterr().err


def test_a_missing_extra_is_one_sentence(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(sys.modules, "viser", None)
    assert main(["view"]) == 1
    error = capsys.readouterr().err
    assert "pip install 'panohead[view]'" in error
    assert len(error.strip().splitlines()) == 1


@pytest.mark.skipif(not Path("/proc/self/stat").is_file(), reason="CPU seconds of another process by /proc")
def test_ctrl_c_ends_the_command_beside_a_browser_and_a_reconstruction() -> None:
    """Ends in less than 2 CPU seconds, which is the longest time on a core of its own, whatever else runs."""
    command = [sys.executable, "-P", "-m", "panohead", "view", "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line.startswith("open http://127.0.0.1:"), process.communicate()
    crop = io.BytesIO()
    Image.radial_gradient("L").resize((128, 128)).convert("RGB").save(crop, "PNG")

    async def run() -> float:
        async with browser(SimpleNamespace(url=line.split()[1])) as made:
            await made.look(0)
            await made.next_image()
            await made.change("It is an aligned crop", True)
            await made.upload("Photo ...", crop.getvalue())
            begun = re.compile(r"reading the photo|\d+/\d+")
            await made.until(lambda: any(begun.search(text) for text in made.lines), timeout_s=120)
            start = _cpu_s(process.pid)
            while (before := _cpu_s(process.pid)) < start + 1:
                await asyncio.sleep(0.01)
            process.send_signal(signal.SIGINT)
            last = before
            while (found := _cpu_s(process.pid)) < math.inf:
                last = found
                await asyncio.sleep(0.01)
            return last - before

    try:
        assert asyncio.run(run()) < 2
        out, error = process.communicate(timeout=10)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0, error
    assert out == "the viewer has ended\n"
    assert error == ""


def _cpu_s(process: int) -> float:
    """Return the CPU seconds of a process of ours up to now; infinity once it has ended."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return math.inf if fields[0] == "Z" else (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
