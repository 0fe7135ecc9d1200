"""The whole viewer over its sockets: the page, images for a moving camera, refusals, files, and a clean end."""

import asyncio
import contextlib
import http.client
import io
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import pytest
import torch
from PIL import Image

import tiny
from panohead.checkpoint import Checkpoint
from panohead.cli.main import main
from panohead.errors import PanoHeadError, UsageError
from panohead.predictor import Predictor
from panohead.viewer.choices import Pose
from panohead.viewer.guarded_server import MAX_TABS
from panohead.viewer.head_viewer import HeadViewer
from panohead.viewer.poses import position_of

viser = pytest.importorskip("viser", reason="the extra 'view' is not installed")
websockets = pytest.importorskip("websockets")
msgspec = pytest.importorskip("msgspec")
zstandard = pytest.importorskip("zstandard")

TOKEN = "0123456789abcdef"
Result = TypeVar("Result")


@pytest.fixture(scope="module")
def viewer() -> Iterator[HeadViewer]:
    with HeadViewer(Predictor(tiny.generator()), port=0) as made:
        yield made


@dataclass(frozen=True)
class Answer:
    status: int
    headers: http.client.HTTPMessage
    content: bytes


def _get(viewer: HeadViewer, path: str, **headers: str) -> Answer:
    address = urlsplit(viewer.url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=60)
    with contextlib.closing(connection):
        connection.putrequest("GET", path, skip_host="Host" in headers)
        for name, value in headers.items():
            connection.putheader(name, value)
        connection.endheaders()
        answer = connection.getresponse()
        return Answer(answer.status, answer.headers, answer.read())


def test_the_page_loads_nothing_from_elsewhere(viewer: HeadViewer) -> None:
    answer = _get(viewer, "/")
    assert answer.status == 200
    assert b"<html" in answer.content
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "http" not in policy
    assert "frame-ancestors 'none'" in policy


@pytest.mark.parametrize(
    "path", ["/../../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/..%5c..%5cwin.ini", "/client/src/App.tsx", "/x?y"]
)
def test_no_path_leads_to_a_file(viewer: HeadViewer, path: str) -> None:
    answer = _get(viewer, path)
    assert answer.status == 404
    assert b"root:" not in answer.content


def test_other_names_and_pages_are_refused(viewer: HeadViewer) -> None:
    assert _get(viewer, "/", Host="rebound.example").status == 421

    async def foreign() -> None:
        with pytest.raises(websockets.exceptions.InvalidStatus):
            await websockets.connect(_socket(viewer), subprotocols=[_protocol()], origin="http://evil.example")

    asyncio.run(foreign())


def _socket(viewer: HeadViewer) -> str:
    return f"ws://{urlsplit(viewer.url).netloc}"


def _protocol() -> Any:
    return f"viser-v{viser.__version__}"


class Browser:
    """As much of a browser as is needed: sends cameras, changes controls, keeps what arrives."""

    def __init__(self, socket: Any) -> None:
        self.socket = socket
        self.images: list[Image.Image] = []
        self.controls: dict[str, str] = {}
        self.texts: list[str] = []
        self.status = ""
        self.files: dict[str, bytes] = {}
        self._names: dict[str, str] = {}

    async def send(self, **message: Any) -> None:
        await self.socket.send(msgspec.msgpack.encode(message))

    async def look(self, yaw_deg: float, width: int = 160, height: int = 90) -> None:
        self.status = ""
        camera: dict[str, Any] = {"wxyz": [1.0, 0.0, 0.0, 0.0], "look_at": [0.0, 0.0, 0.0]}
        camera |= {"position": list(position_of(Pose(yaw_deg=yaw_deg))), "up_direction": [0.0, 1.0, 0.0]}
        camera |= {"image_height": height, "image_width": width, "fov": 0.2, "near": 0.01, "far": 1000.0}
        await self.send(type="ViewerCameraMessage", **camera)

    async def change(self, label: str, value: object) -> None:
        await self.until(lambda: label in self.controls)
        self.status = ""
        await self.send(type="GuiUpdateMessage", uuid=self.controls[label], updates={"value": value})

    async def upload(self, label: str, content: bytes) -> None:
        await self.until(lambda: label in self.controls)
        start = {"source_component_uuid": self.controls[label], "transfer_uuid": f"t{time.monotonic_ns()}"}
        await self.send(
            type="FileTransferStartUpload",
            filename="../../x.png", mime_type="image/png", part_count=1, size_bytes=len(content), **start,
        )  # fmt: skip
        await self.send(type="FileTransferPart", part_index=0, content=content, **start)

    async def until(self, condition: Callable[[], bool], timeout_s: float = 20.0) -> None:
        end = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < end, (self.texts[-3:], len(self.images))
            with contextlib.suppress(TimeoutError):
                self._take(await asyncio.wait_for(self.socket.recv(), 0.2))

    async def next_image(self) -> Image.Image:
        count = len(self.images)
        await self.until(lambda: len(self.images) > count)
        return self.images[-1]

    async def rest(self) -> Image.Image:
        """Wait for the full image that is not followed by another."""
        count, end = -1, time.monotonic() + 60
        while count != len(self.images) or "full image" not in self.status:
            assert time.monotonic() < end, (self.status, self.texts[-3:], len(self.images))
            count = len(self.images)
            with contextlib.suppress(AssertionError):
                await self.until(lambda: False, timeout_s=0.6)
        return self.images[-1]

    def _take(self, raw: bytes) -> None:
        whole, packed = (int.from_bytes(raw[i : i + 8], "little") for i in (0, 8))
        inner = zstandard.ZstdDecompressor().decompress(raw[16 : 16 + packed], max_output_size=whole)
        for message in msgspec.msgpack.decode(inner)["messages"]:
            self._apply(message)

    def _apply(self, message: dict[str, Any]) -> None:
        properties = message.get("props") or {}
        match message["type"]:
            case "BackgroundImageMessage" if message["rgb_data"] is not None:
                self.images.append(Image.open(io.BytesIO(message["rgb_data"])))
            case "NotificationShowMessage":
                self.texts.append(f"{properties['title']}: {properties['body']}")
            case "GuiUpdateMessage":
                text = message["updates"].get("content") or message["updates"].get("_markdown") or ""
                self.status = text if "px" in text else self.status
            case "FileTransferStartDownload":
                self._names[message["transfer_uuid"]] = message["filename"]
            case "FileTransferPart":
                name = self._names[message["transfer_uuid"]]
                self.files[name] = self.files.get(name, b"") + message["content"]
            case _ if isinstance(properties, dict) and "uuid" in message:
                label = properties.get("label")
                if label is not None:
                    self.controls[label] = message["uuid"]


@contextlib.asynccontextmanager
async def browser(viewer: HeadViewer, **options: Any) -> AsyncIterator[Browser]:
    async with websockets.connect(
        _socket(viewer), subprotocols=[_protocol()], max_size=None, compression=None, **options
    ) as socket:
        yield Browser(socket)


def with_browser(viewer: HeadViewer, act: Callable[[Browser], Awaitable[Result]]) -> Result:
    async def run() -> Result:
        async with browser(viewer) as made:
            await made.look(0)
            await made.next_image()
            return await act(made)

    return asyncio.run(run())


def _difference(a: Image.Image, b: Image.Image) -> float:
    one, other = (
        torch.frombuffer(bytearray(x.convert("RGB").resize((64, 36)).tobytes()), dtype=torch.uint8) for x in (a, b)
    )
    return float((one.float() - other.float()).abs().mean())


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
        assert _difference(first, side) > 1
        assert _difference(side, other) > 1
        assert _difference(first, again) < 0.5

    with_browser(viewer, act)


def test_tabs_have_their_own_state(viewer: HeadViewer) -> None:
    async def run() -> None:
        async with browser(viewer) as one, browser(viewer) as other:
            for tab in (one, other):
                await tab.look(0)
                await tab.rest()
            before = other.images[-1]
            await one.change("Seed", 9)
            assert _difference(await one.rest(), before) > 1
            await other.look(1)
            await other.look(0)
            assert _difference(await other.rest(), before) < 0.5

    asyncio.run(run())


def test_only_controls_that_do_something_are_there(viewer: HeadViewer) -> None:
    async def act(browser: Browser) -> None:
        await browser.until(lambda: "Photo ..." in browser.controls)
        await browser.rest()
        assert {"Seed", "Truncation", "Blend", "Show", "Background", "Mesh (GLB)"} <= set(browser.controls)
        assert "Attributes" not in browser.controls, "this model has no attribute encoder"

    with_browser(viewer, act)


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
        assert _difference(changed, first) > 1
        await browser.change("As it was", True)
        assert _difference(await browser.rest(), first) < 0.5

    with HeadViewer(Predictor(generator, checkpoint), port=0) as viewer:
        with_browser(viewer, act)


def test_files_are_sent(viewer: HeadViewer) -> None:
    async def act(browser: Browser) -> None:
        await browser.change("Image (PNG)", True)
        await browser.until(lambda: any(name.endswith(".png") for name in browser.files))
        ((name, content),) = browser.files.items()
        assert name == "seed0000_yaw+000_image.png"
        await browser.rest()
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
        assert _difference(await browser.rest(), before) > 1

    with_browser(viewer, act)
    _wait(lambda: not viewer.shared.heads._owners, "the visitor's photo head is forgotten")


def _wait(condition: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.02)


def test_nothing_is_kept_of_who_left(viewer: HeadViewer) -> None:
    async def act(browser: Browser) -> None:
        await browser.rest()

    with_browser(viewer, act)
    _wait(lambda: not viewer._tabs, "tabs are forgotten")
    assert not viewer.shared.queue._tabs
    assert not viewer.shared.queue._waiting


def test_bad_messages_end_the_connection_and_nothing_else(
    viewer: HeadViewer, capfd: pytest.CaptureFixture[str]
) -> None:
    bad = ["text", b"", b"\xff" * 40, msgspec.msgpack.encode({"type": "ShareUrlRequest"}),
           msgspec.msgpack.encode({"type": "GuiUpdateMessage", "uuid": "x", "updates": {"removed": True}})]  # fmt: skip

    async def run() -> None:
        async with browser(viewer) as made:
            with pytest.raises(websockets.exceptions.ConnectionClosed) as closed:
                await _send_all(made.socket, bad * 100)
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1008
        async with browser(viewer) as made:
            with pytest.raises(websockets.exceptions.ConnectionClosed):
                await _send_all(made.socket, [b"x" * 2_000_000])

    asyncio.run(run())
    with_browser(viewer, lambda browser: browser.rest())
    assert viewer._server._share_tunnel is None
    assert "Traceback" not in capfd.readouterr().err


async def _send_all(socket: Any, messages: list[Any]) -> None:
    """Send messages one by one, each read by the server before the next."""
    for message in messages:
        await socket.send(message)
        await asyncio.wait_for(await socket.ping(), 20)


def test_tabs_are_limited(viewer: HeadViewer) -> None:
    async def run() -> None:
        async with contextlib.AsyncExitStack() as stack:
            for _ in range(MAX_TABS):
                await stack.enter_async_context(browser(viewer))
            with pytest.raises(websockets.exceptions.InvalidStatus, match="503"):
                await stack.enter_async_context(browser(viewer))

    asyncio.run(run())
    with_browser(viewer, lambda browser: browser.rest())


def test_the_token_is_asked_for_and_the_end_is_clean(tmp_path: Path) -> None:
    before = set(threading.enumerate())
    viewer = HeadViewer(Predictor(tiny.generator()), port=0, token=TOKEN, library=tmp_path)
    try:
        assert viewer.url.endswith(f"/?token={TOKEN}")
        assert _get(viewer, "/").status == 403
        answer = _get(viewer, f"/?token={TOKEN}")
        assert (answer.status, answer.headers["Location"]) == (303, "/")
        cookie = answer.headers["Set-Cookie"].partition(";")[0]
        assert _get(viewer, "/", Cookie=cookie).status == 200

        async def run() -> float:
            with pytest.raises(websockets.exceptions.InvalidStatus, match="403"):
                await websockets.connect(_socket(viewer), subprotocols=[_protocol()])
            async with browser(viewer, additional_headers={"Cookie": cookie}) as made:
                await made.look(0)
                await made.next_image()
                begin = time.monotonic()
                assert await asyncio.to_thread(viewer.close)
                return time.monotonic() - begin

        assert asyncio.run(run()) < 10  # 2 s on an idle machine
    finally:
        viewer.close()
    _wait(lambda: not {t for t in set(threading.enumerate()) - before if t.is_alive()}, "no thread is left")


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


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_ctrl_c_ends_the_command() -> None:
    command = [sys.executable, "-P", "-m", "panohead", "view", "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line.startswith("open http://127.0.0.1:"), process.communicate()
    process.send_signal(signal.SIGINT)
    out, error = process.communicate(timeout=120)  # 2 s on an idle machine
    assert process.returncode == 0, error
    assert out == "the viewer has ended\n"
    assert error == ""
