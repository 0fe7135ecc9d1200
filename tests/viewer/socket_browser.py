"""Browsers for tests of the viewer, as far as it can tell: they speak its protocol over sockets."""

import asyncio
import contextlib
import http.client
import io
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlsplit

import msgspec
import torch
import viser
import websockets
import zstandard
from PIL import Image

from panohead.viewer.choices import Pose
from panohead.viewer.head_viewer import HeadViewer
from panohead.viewer.poses import position_of

Result = TypeVar("Result")


@dataclass(frozen=True)
class Answer:
    status: int
    headers: http.client.HTTPMessage
    content: bytes


def get(viewer: HeadViewer, path: str, **headers: str) -> Answer:
    address = urlsplit(viewer.url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=60)
    with contextlib.closing(connection):
        connection.putrequest("GET", path, skip_host="Host" in headers)
        for name, value in headers.items():
            connection.putheader(name, value)
        connection.endheaders()
        answer = connection.getresponse()
        return Answer(answer.status, answer.headers, answer.read())


def socket_of(viewer: Any) -> str:
    return f"ws://{urlsplit(viewer.url).netloc}"


def protocol() -> Any:
    return f"viser-v{viser.__version__}"


class Browser:
    """As much of a browser as is needed: sends cameras, changes controls, keeps what arrives."""

    def __init__(self, socket: Any) -> None:
        self.socket = socket
        self.images: list[Image.Image] = []
        self.controls: dict[str, str] = {}
        self.texts: list[str] = []
        self.lines: list[str] = []
        self.status = ""
        self._asked_at, self._looked = 0, (0.0, 0, 0)
        self.files: dict[str, bytes] = {}
        self._names: dict[str, str] = {}

    async def send(self, **message: Any) -> None:
        await self.socket.send(msgspec.msgpack.encode(message))

    async def look(self, yaw_deg: float, width: int = 160, height: int = 90) -> None:
        """Send a camera; one that equals the last is answered by nothing."""
        if (yaw_deg, width, height) != self._looked:
            self._asked_at, self._looked = len(self.images), (yaw_deg, width, height)
        camera: dict[str, Any] = {"wxyz": [1.0, 0.0, 0.0, 0.0], "look_at": [0.0, 0.0, 0.0]}
        camera |= {"position": list(position_of(Pose(yaw_deg=yaw_deg))), "up_direction": [0.0, 1.0, 0.0]}
        camera |= {"image_height": height, "image_width": width, "fov": 0.2, "near": 0.01, "far": 1000.0}
        await self.send(type="ViewerCameraMessage", **camera)

    async def change(self, label: str, value: object) -> None:
        await self.until(lambda: label in self.controls)
        self._asked_at = len(self.images)
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
        """Wait for the full image after the last change that is not followed by another."""
        # Each change is answered by an image, but not by a status: viser sends no text that equals the last one.
        count, end = -1, time.monotonic() + 60
        while count != len(self.images) or count == self._asked_at or "full image" not in self.status:
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
                self.lines.append(text)
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
async def browser(viewer: Any, **options: Any) -> AsyncIterator[Browser]:
    async with websockets.connect(
        socket_of(viewer), subprotocols=[protocol()], max_size=None, compression=None, **options
    ) as socket:
        yield Browser(socket)


def with_browser(viewer: HeadViewer, act: Callable[[Browser], Awaitable[Result]]) -> Result:
    async def run() -> Result:
        async with browser(viewer) as made:
            await made.look(0)
            await made.next_image()
            return await act(made)

    return asyncio.run(run())


def difference(a: Image.Image, b: Image.Image) -> float:
    one, other = (
        torch.frombuffer(bytearray(x.convert("RGB").resize((64, 36)).tobytes()), dtype=torch.uint8) for x in (a, b)
    )
    return float((one.float() - other.float()).abs().mean())


def wait(condition: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.02)
