"""viser's server behind a gate: its one websocket server is made with our checks of requests and messages.

viser has no hook for them, so the function that it makes its server by is replaced while it starts. Where a version of
viser no longer calls it, the viewer refuses to start: it never runs without the gate.
"""

import asyncio
import contextlib
import http
import logging
import time
import warnings
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from panohead.errors import PanoHeadError
from panohead.system.optional import failure_of
from panohead.viewer.access import AccessRefusal, Gate
from panohead.viewer.messages import MessageFilter
from panohead.viewer.page import OwnPage

if TYPE_CHECKING:
    import viser

MAX_TABS = 24
"""Open connections; each has its controls and its state."""
_MAX_MESSAGE_BYTES = 1_000_000
_MAX_DROPPED = 50
_MESSAGES_PER_S = 300.0
_WRONG_TOKEN_PAUSE_S = 0.3
_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob: data:; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; connect-src 'self' ws: wss: data: blob:; "
    "worker-src 'self' blob: data:; font-src 'self' data:; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
"""The page may load nothing from elsewhere, and no other page may frame it."""


def import_viser() -> Any:
    """Import viser and return the module.

    Raises:
        PanoHeadError: when it cannot be imported, with the reason and the remedy here.
    """
    try:
        import viser
    except ImportError as error:
        failure = failure_of("viser", error)
        raise PanoHeadError(f"the viewer needs viser 1.1, and {failure.reason}: {failure.remedy}") from error
    return viser


def start_server(gate: Gate, host: str, port: int, page: OwnPage) -> "viser.ViserServer":
    """Start viser's server behind a gate, with its page changed.

    Raises:
        PanoHeadError: when viser cannot be imported, or does not make its server in the way that the gate needs.
    """
    viser = import_viser()
    import rich
    import websockets.asyncio.server as library
    from viser import _messages

    # viser tells of itself on standard output, and of refused messages in tracebacks.
    rich.get_console().quiet = True
    for name in ("asyncio", "websockets.server"):
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    warnings.filterwarnings("ignore", message="Queued a .* on a closed connection")
    guard = _Guard(gate, page, library.ServerConnection, _messages.Message.deserialize)
    original = library.serve
    with _replaced(library, "serve", lambda *args, **options: guard.serve(original, *args, **options)):
        server = viser.ViserServer(host=host, port=port, label="PanoHead", verbose=False)
    if not guard.is_in_place:
        server.stop()
        raise PanoHeadError(
            f"viser {viser.__version__} makes its server in another way than the viewer's gate expects; "
            "pip install 'viser>=1.1,<1.2'"
        )
    guard.port = server.get_port()
    for kind in (_messages.ShareUrlRequest, _messages.ShareUrlDisconnect):
        server._websock_server._incoming_handlers.pop(kind, None)
    return server


def run_in_browser(client: Any, script: str) -> None:
    """Run a script in a browser after what was sent to it before.

    Args:
        client: viser's handle of the browser.
        script: JavaScript of our own; nothing that a visitor has written.
    """
    from viser import _messages

    client._websock_connection.queue_message(_messages.RunJavascriptMessage(source=script))


@contextlib.contextmanager
def _replaced(owner: Any, name: str, value: Any) -> Iterator[None]:
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)


class _Guard:
    """Checks of one server. ``is_in_place`` is True once viser has made its server with them."""

    def __init__(self, gate: Gate, page: OwnPage, connection_type: Any, decode: Callable[[bytes], Any]) -> None:
        self.gate, self.port, self.is_in_place = gate, 0, False
        self._page = page
        self._open: set[Any] = set()
        self._connection_type = _guarded_connection(connection_type, decode)

    def serve(self, original: Callable[..., Any], *args: Any, process_request: Any = None, **options: Any) -> Any:
        """Make the server: ``original`` with our checks before ``process_request``."""
        if process_request is None:
            return original(*args, **options)  # not viser's: then the gate is not in place

        async def check(connection: Any, request: Any) -> Any:
            answer = await self._check(connection, request)
            if answer is None:
                answer = process_request(connection, request)
                if answer is not None:
                    self._make_own(answer)
            return answer

        self.is_in_place = True
        own = {
            "process_request": check,
            "create_connection": self._connection_type,
            "max_size": _MAX_MESSAGE_BYTES,
            "open_timeout": 5,
            "close_timeout": 0.5,
            "server_header": None,
        }
        return original(*args, **(options | own))

    def _make_own(self, answer: Any) -> None:
        """Change viser's answer with a page to this viewer's, in place."""
        answer.body = self._page(answer.body, answer.headers.get("Content-Encoding", "identity"))
        if "Content-Length" in answer.headers:
            del answer.headers["Content-Length"]  # setting it would add a second one
        for name, value in (_HEADERS | {"Content-Length": str(len(answer.body))}).items():
            answer.headers[name] = value

    async def _check(self, connection: Any, request: Any) -> Any:
        headers: dict[str, str] = {}
        for name, value in request.headers.raw_items():
            headers.setdefault(name.lower(), value)
        refusal = self.gate.refusal(request.path, headers, self.port)
        self._open = {c for c in self._open if c.state.name in ("CONNECTING", "OPEN")}
        is_websocket = headers.get("upgrade", "").lower() == "websocket"
        if refusal is None and is_websocket and len(self._open) >= MAX_TABS:
            refusal = AccessRefusal(503, f"This viewer already has {MAX_TABS} tabs; close one and reload.")
        if refusal is None:
            if is_websocket:
                self._open.add(connection)
            return None
        if refusal.status == 403:
            await asyncio.sleep(_WRONG_TOKEN_PAUSE_S)
        status = http.HTTPStatus(refusal.status)
        response = connection.respond(status, f"{refusal.text}\n")
        for name, value in (refusal.headers | _HEADERS).items():
            response.headers[name] = value
        return response


def _guarded_connection(base: Any, decode: Callable[[bytes], Any]) -> Any:
    """Return a class of connections that hand on only good messages, and not too many a second."""

    class GuardedConnection(base):
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            self._filter = MessageFilter(decode)
            self._allowance, self._last = _MESSAGES_PER_S, time.monotonic()

        async def recv(self, *args: Any, **options: Any) -> Any:
            while True:
                raw = await super().recv(*args, **options)
                await self._pace()
                if self._filter.accepts(raw):
                    return raw
                if self._filter.dropped > _MAX_DROPPED:
                    await self.close(1008, "too many messages that are not understood")

        async def _pace(self) -> None:
            """Wait where messages come too fast; the sender then waits too."""
            now = time.monotonic()
            self._allowance = min(_MESSAGES_PER_S, self._allowance + (now - self._last) * _MESSAGES_PER_S) - 1
            self._last = now
            if self._allowance < 0:
                await asyncio.sleep(-self._allowance / _MESSAGES_PER_S)

    return GuardedConnection
