"""A headless Chromium that tests drive through a pipe (the DevTools protocol), without further packages."""

import base64
import io
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = (
    "--headless --no-sandbox --disable-quic --no-first-run --disable-background-networking --disable-component-update "
    "--disable-sync --hide-scrollbars --use-gl=angle --use-angle=swiftshader --enable-unsafe-swiftshader "
    "--remote-debugging-pipe"
)
_WAIT_S = 90.0


class Tab:
    """One page: what it asked for, what it complained about, and ways to touch it.

    Attributes:
        requests: addresses that it asked for, embedded ones left out.
        complaints: errors and warnings of the console, of scripts and of the policy.
    """

    def __init__(self, reading: int, writing: int) -> None:
        self._reading, self._writing = reading, writing
        self._pending, self._number, self._session = b"", 0, ""
        self.requests: list[str] = []
        self.complaints: list[str] = []
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.ask(f"{domain}.enable")

    def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command and return its result."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._writing, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive()
            if answer.get("id") == self._number:
                assert "error" not in answer, (method, answer)
                return dict(answer["result"])
            self._notice(answer)

    def _receive(self) -> dict[str, Any]:
        until = time.monotonic() + _WAIT_S
        while b"\0" not in self._pending:
            ready, _, _ = select.select([self._reading], [], [], max(0.0, until - time.monotonic()))
            assert ready, "Chromium does not answer"
            self._pending += os.read(self._reading, 1 << 16)
        message, self._pending = self._pending.split(b"\0", 1)
        return dict(json.loads(message))

    def _notice(self, event: dict[str, Any]) -> None:
        facts = event.get("params", {})
        if event.get("method") == "Network.requestWillBeSent" and not facts["request"]["url"].startswith("data:"):
            self.requests.append(facts["request"]["url"])
        elif event.get("method") == "Runtime.exceptionThrown":
            self.complaints.append(json.dumps(facts["exceptionDetails"])[:500])
        elif event.get("method") == "Runtime.consoleAPICalled" and facts["type"] in ("error", "warning", "assert"):
            self.complaints.append(json.dumps(facts["args"])[:500])
        elif event.get("method") == "Log.entryAdded" and facts["entry"]["level"] in ("error", "warning"):
            self.complaints.append(facts["entry"]["text"])

    def open(self, page: Path, *, width: int, dark: bool = False, still: bool = False) -> None:
        """Open a file at a window's width, in a dark color scheme or with reduced motion if asked for."""
        self.requests, self.complaints = [], []
        self.ask(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=900,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        features = [
            {"name": "prefers-color-scheme", "value": "dark" if dark else "light"},
            {"name": "prefers-reduced-motion", "value": "reduce" if still else "no-preference"},
        ]
        self.ask("Emulation.setEmulatedMedia", features=features)
        self.ask("Page.navigate", url=page.as_uri())
        self.until("document.readyState === 'complete' && location.protocol === 'file:'")

    def value(self, expression: str) -> Any:
        """Return the value of an expression in the page."""
        answer = self.ask("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        return answer["result"].get("value")

    def frames(self, count: int) -> None:
        """Wait until the page has drawn so many frames."""
        for _ in range(count):
            self.value("new Promise(done => requestAnimationFrame(() => done(1)))")

    def until(self, expression: str) -> None:
        """Wait until an expression is true."""
        end = time.monotonic() + _WAIT_S
        while not self.value(expression):
            assert time.monotonic() < end, f"never true: {expression}"
            time.sleep(0.05)

    def box(self, selector: str) -> tuple[float, float, float, float]:
        """Return left, top, width and height of an element."""
        found = self.value(
            f"(b => [b.x, b.y, b.width, b.height])(document.querySelector({selector!r}).getBoundingClientRect())"
        )
        return tuple(found)  # type: ignore[return-value]

    def image(self, selector: str) -> np.ndarray:
        """Return what an element looks like, RGB."""
        x, y, width, height = self.box(selector)
        clip = {"x": x, "y": y, "width": width, "height": height, "scale": 1}
        data = self.ask("Page.captureScreenshot", format="png", clip=clip)["data"]
        return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB")).astype(int)

    def drawn(self, selector: str) -> np.ndarray:
        """Return the pixels of a canvas, RGBA."""
        address = str(self.value(f"document.querySelector({selector!r}).toDataURL()"))
        return np.asarray(Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2]))).convert("RGBA")).astype(
            int
        )

    def press(self, key: str, text: str = "") -> None:
        """Press and release a key."""
        code = {"ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40, "Home": 36, " ": 32}.get(key, 0)
        facts: dict[str, Any] = {"key": key, "windowsVirtualKeyCode": code}
        self.ask("Input.dispatchKeyEvent", type="keyDown", **facts, **({"text": text} if text else {}))
        self.ask("Input.dispatchKeyEvent", type="keyUp", **facts)

    def click(self, selector: str) -> None:
        """Click the middle of an element."""
        x, y, width, height = self.box(selector)
        self.drag((x + width / 2, y + height / 2), (0, 0))

    def drag(self, start: tuple[float, float], move: tuple[float, float]) -> None:
        """Press the mouse's left button, move, and release it."""
        for kind, share in (
            ("mousePressed", 0.0),
            *((("mouseMoved", i / 4)) for i in range(1, 5)),
            ("mouseReleased", 1.0),
        ):
            if kind == "mouseMoved" and move == (0, 0):
                continue
            place = {"x": start[0] + share * move[0], "y": start[1] + share * move[1]}
            self.ask("Input.dispatchMouseEvent", type=kind, button="left", buttons=1, clickCount=1, **place)


@contextmanager
def chromium(profile: Path) -> Iterator[Tab]:
    """Start Chromium with an empty profile, and end it."""
    assert CHROMIUM is not None
    (its_reading, our_writing), (our_reading, its_writing) = os.pipe(), os.pipe()
    # It reads commands from 3 and writes to 4; copies above 9 first, since either may be one of ours.
    spare = [os.dup(its_reading), os.dup(its_writing)]

    def connect() -> None:
        high = [os.dup2(fd, 200 + i) for i, fd in enumerate(spare)]
        os.dup2(high[0], 3)
        os.dup2(high[1], 4)

    command = [CHROMIUM, *FLAGS.split(), f"--user-data-dir={profile}", "about:blank"]
    log = (profile.parent / "chromium.log").open("wb")
    process = subprocess.Popen(command, preexec_fn=connect, close_fds=False, stdout=log, stderr=log)
    try:
        tab = Tab(our_reading, our_writing)
        yield tab
        tab._session = ""
        tab.ask("Browser.close")
        process.wait(20)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        log.close()
        for fd in (its_reading, our_writing, our_reading, its_writing, *spare):
            os.close(fd)
