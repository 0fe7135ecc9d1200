"""A viewer in a process of its own, and browsers as far as it can tell: they speak its protocol over sockets."""

import asyncio
import contextlib
import io
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from PIL import Image

CANVAS = (1280, 720)
"""Canvas of the visitors, pixels."""


class Server:
    """A viewer in a process of its own; a context manager."""

    def __init__(self, checkpoint: str) -> None:
        command = [sys.executable, "-P", "-m", "panohead", "view", "--port", "0", "--checkpoint", checkpoint]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.address = self.process.stdout.readline().split()[1].rstrip("/").replace("http", "ws")

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait(30)

    def cpu_s(self) -> float:
        """Return the CPU seconds of the process up to now, over all of its threads."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory_mb(self) -> float:
        """Return its resident memory."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


class Visitor:
    """A browser, as far as the viewer can tell: sends cameras and changes, notes when images come."""

    def __init__(self, socket: Any, server: Server) -> None:
        import msgspec
        import zstandard

        self._socket, self._server = socket, server
        self._encode, self._decode = msgspec.msgpack.encode, msgspec.msgpack.decode
        self._unpack = zstandard.ZstdDecompressor().decompress
        self.images: list[tuple[float, float]] = []
        """Clock and CPU seconds at which an image came."""
        self.sides: list[int] = []
        self.controls: dict[str, str] = {}

    async def look(self, yaw_deg: float, pitch_deg: float = 0.0) -> None:
        """Send a camera."""
        from panohead.viewer.choices import Pose
        from panohead.viewer.poses import position_of

        position = list(position_of(Pose(yaw_deg=yaw_deg, pitch_deg=pitch_deg)))
        camera: dict[str, Any] = {"wxyz": [1.0, 0.0, 0.0, 0.0], "position": position, "look_at": [0.0, 0.0, 0.0]}
        camera |= {"up_direction": [0.0, 1.0, 0.0], "fov": 0.2, "near": 0.01, "far": 1000.0}
        camera |= {"image_width": CANVAS[0], "image_height": CANVAS[1]}
        await self._socket.send(self._encode({"type": "ViewerCameraMessage", **camera}))

    async def change(self, label: str, value: object) -> None:
        """Move a control."""
        message = {"type": "GuiUpdateMessage", "uuid": self.controls[label], "updates": {"value": value}}
        await self._socket.send(self._encode(message))

    async def listen(self, seconds: float, until: Callable[[], bool] = lambda: False) -> None:
        """Take what comes, for so long or until a condition holds."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and not until():
            with contextlib.suppress(TimeoutError):
                self._take(await asyncio.wait_for(self._socket.recv(), min(0.05, max(0.001, end - time.monotonic()))))

    async def image_after(self, count: int, side: int, timeout_s: float = 300.0) -> bool:
        """Wait for an image of at least so many pixels among those after the first ``count``."""
        await self.listen(timeout_s, lambda: any(found >= side for found in self.sides[count:]))
        return any(found >= side for found in self.sides[count:])

    def _take(self, raw: bytes) -> None:
        whole, packed = (int.from_bytes(raw[i : i + 8], "little") for i in (0, 8))
        for message in self._decode(self._unpack(raw[16 : 16 + packed], max_output_size=whole))["messages"]:
            properties = message.get("props") or {}
            if message["type"] == "BackgroundImageMessage" and message["rgb_data"] is not None:
                self.images.append((time.monotonic(), self._server.cpu_s()))
                self.sides.append(max(Image.open(io.BytesIO(message["rgb_data"])).size))
            elif isinstance(properties, dict) and "uuid" in message and properties.get("label"):
                self.controls[properties["label"]] = message["uuid"]


@contextlib.asynccontextmanager
async def visitor(server: Server) -> AsyncIterator[Visitor]:
    """Connect a visitor."""
    import viser
    import websockets

    protocol: Any = f"viser-v{viser.__version__}"
    async with websockets.connect(
        server.address, subprotocols=[protocol], max_size=None, compression=None, open_timeout=120, ping_timeout=None
    ) as socket:
        yield Visitor(socket, server)
