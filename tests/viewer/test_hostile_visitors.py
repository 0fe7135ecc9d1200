"""Hostile and broken visitors of the viewer: refused in a sentence, and everybody else is served on."""

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import tiny
from panohead.predictor import Predictor
from panohead.viewer.guarded_server import MAX_TABS
from panohead.viewer.head_viewer import HeadViewer

pytest.importorskip("viser", reason="the extra 'view' is not installed")
msgspec = pytest.importorskip("msgspec")
websockets = pytest.importorskip("websockets")

from viewer.socket_browser import browser, get, protocol, socket_of, with_browser  # noqa: E402


@pytest.fixture(scope="module")
def viewer() -> Iterator[HeadViewer]:
    with HeadViewer(Predictor(tiny.generator()), port=0) as made:
        yield made


@pytest.mark.parametrize(
    "path", ["/../../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/..%5c..%5cwin.ini", "/client/src/App.tsx", "/x?y"]
)
def test_no_path_leads_to_a_file(viewer: HeadViewer, path: str) -> None:
    answer = get(viewer, path)
    assert answer.status == 404
    assert b"root:" not in answer.content


def test_other_names_and_pages_are_refused(viewer: HeadViewer) -> None:
    assert get(viewer, "/", Host="rebound.example").status == 421

    async def foreign() -> None:
        with pytest.raises(websockets.exceptions.InvalidStatus):
            await websockets.connect(socket_of(viewer), subprotocols=[protocol()], origin="http://evil.example")

    asyncio.run(foreign())


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


def test_ten_thousand_bad_messages(viewer: HeadViewer, capfd: pytest.CaptureFixture[str]) -> None:
    """Over as many connections as they need: each is closed after some fifty, and others are served meanwhile."""
    rng = np.random.default_rng(0)
    good = msgspec.msgpack.encode({"type": "GuiUpdateMessage", "uuid": "x" * 8, "updates": {"value": 1}})

    def bad() -> bytes | str:
        kind = rng.integers(4)
        if kind == 0:
            return rng.bytes(int(rng.integers(0, 200)))
        if kind == 1:
            return "\u0000" * int(rng.integers(1, 50))
        if kind == 2:  # a message of viser's with another's content
            return msgspec.msgpack.encode({"type": "GuiUpdateMessage", "uuid": [], "updates": {"_parts": 1}})
        broken = bytearray(good)
        broken[int(rng.integers(len(broken)))] ^= 1 << int(rng.integers(8))
        return bytes(broken[: int(rng.integers(1, len(broken)))])

    async def attack() -> int:
        sent = 0
        while sent < 10_000:
            with contextlib.suppress(websockets.exceptions.ConnectionClosed):
                async with browser(viewer) as made:
                    for _ in range(200):
                        await made.socket.send(bad())
                        sent += 1
        return sent

    async def run() -> None:
        async with browser(viewer) as other:
            await other.look(0)
            await other.rest()
            attacking = asyncio.create_task(attack())
            await other.look(60)
            await other.rest()
            assert await attacking >= 10_000

    asyncio.run(run())
    with_browser(viewer, lambda browser: browser.rest())
    assert "Traceback" not in capfd.readouterr().err


def test_a_browser_that_does_not_read_holds_nobody_up(viewer: HeadViewer) -> None:
    """Its newest image waits for it, and no other."""

    async def run() -> None:
        async with browser(viewer, ping_interval=None) as slow, browser(viewer) as other:
            await slow.look(0)
            await slow.rest()
            (key,) = [key for key in viewer._tabs if viewer._tabs[key].request.canvas == (160, 90)]
            slow.socket.transport.pause_reading()
            for step in range(25):
                await slow.look(3.0 * step)
                await other.look(-3.0 * step, width=150)
                await other.next_image()
            await other.rest()
            buffer = viewer._tabs[key].client._websock_connection.get_message_buffer()
            waiting = [type(message).__name__ for message in list(buffer.message_from_id.values())]
            assert waiting.count("BackgroundImageMessage") <= 1
            assert len(waiting) < 1000
            slow.socket.transport.resume_reading()

    asyncio.run(run())


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
