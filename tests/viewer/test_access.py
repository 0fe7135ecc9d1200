"""Who may connect, which messages get through, which photos are taken."""

import io
import struct
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from panohead.errors import PanoHeadError, UsageError
from panohead.viewer.access import Gate, check_access, check_port, is_loopback
from panohead.viewer.messages import MessageFilter
from panohead.viewer.uploads import MAX_UPLOAD_BYTES, uploaded_photo

TOKEN = "0123456789abcdef0123"
LOCAL = {"host": "127.0.0.1:8080"}


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.3.2.1"])
def test_loopback_needs_no_token(host: str) -> None:
    assert is_loopback(host)
    check_access(host, None)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.org", "", "127.0.0.1.example.org"])
def test_other_hosts_need_a_token_and_the_reason_is_told(host: str) -> None:
    with pytest.raises(UsageError, match=r"everyone on the network.*--token [0-9a-f]{32}"):
        check_access(host, None)
    check_access(host, TOKEN)


@pytest.mark.parametrize("token", ["", "short", "a b c d e f g h i j k", "x" * 15, "tökentökentökentöken", "a&b" * 9])
def test_weak_tokens_are_refused(token: str) -> None:
    with pytest.raises(UsageError, match="--token"):
        check_access("127.0.0.1", token)


def test_a_taken_port_is_named() -> None:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(PanoHeadError, match=r"cannot listen on 127\.0\.0\.1"):
            check_port("127.0.0.1", taken.getsockname()[1])
    with pytest.raises(PanoHeadError, match="cannot listen on 203"):
        check_port("203.0.113.7", 0)


def _status(gate: Gate, path: str, headers: dict[str, str]) -> int:
    refusal = gate.refusal(path, headers, 8080)
    return 200 if refusal is None else refusal.status


def test_without_a_token_only_local_names_and_own_pages() -> None:
    gate = Gate("127.0.0.1", None)
    websocket = {**LOCAL, "upgrade": "WebSocket"}
    assert _status(gate, "/", LOCAL) == 200
    assert _status(gate, "/index.html?x=1", {"host": "localhost"}) == 200
    assert _status(gate, "/", {"host": "[::1]:8080"}) == 200
    assert _status(gate, "/", {"host": "rebound.example:8080"}) == 421
    assert _status(gate, "/", {}) == 421
    assert _status(gate, "/", {"host": "[::1"}) == 421
    assert _status(gate, "/", websocket) == 200
    assert _status(gate, "/", {**websocket, "origin": "http://127.0.0.1:8080"}) == 200
    assert _status(gate, "/", {**websocket, "origin": "http://evil.example"}) == 403
    assert _status(gate, "/", {**websocket, "origin": "http://127.0.0.1:9999"}) == 403
    assert _status(gate, "/", {**websocket, "origin": "null"}) == 403


@pytest.mark.parametrize(
    "path", ["/../etc/passwd", "/%2e%2e/etc/passwd", "/..\\x", "/assets", "//etc/passwd", "/index.html/", "x", ""]
)
def test_there_is_one_page(path: str) -> None:
    assert _status(Gate("127.0.0.1", None), path, LOCAL) == 404


def test_the_token_buys_a_cookie_and_the_cookie_the_rest() -> None:
    gate = Gate("0.0.0.0", TOKEN)
    headers = {"host": "photos.example:8080"}
    assert _status(gate, "/", headers) == 403
    assert _status(gate, "/?token=wrong", headers) == 403
    assert _status(gate, f"/?token={TOKEN[:-1]}", headers) == 403
    assert _status(gate, f"/?Token={TOKEN}", headers) == 403
    answer = gate.refusal(f"/?token={TOKEN}", headers, 8080)
    assert answer is not None
    assert (answer.status, answer.headers["Location"]) == (303, "/")
    cookie = answer.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert TOKEN not in cookie
    value = cookie.partition(";")[0]
    assert _status(gate, "/", {**headers, "cookie": value}) == 200
    assert _status(gate, "/", {**headers, "cookie": value, "upgrade": "websocket"}) == 200
    assert _status(gate, "/", {**headers, "upgrade": "websocket"}) == 403
    assert _status(gate, "/", {**headers, "cookie": f"{value}x"}) == 403
    assert _status(Gate("0.0.0.0", TOKEN), "/", {**headers, "cookie": value}) == 403, "another run"


@settings(deadline=None)
@given(path=st.text(max_size=60), host=st.text(max_size=30), cookie=st.text(max_size=60), token=st.booleans())
def test_no_request_raises_or_guesses(path: str, host: str, cookie: str, token: bool) -> None:
    gate = Gate("127.0.0.1", TOKEN if token else None)
    status = _status(gate, path, {"host": host, "cookie": cookie})
    if token:
        assert status in (403, 404)


@dataclass
class ViewerCameraMessage:
    wxyz: Any = (1.0, 0.0, 0.0, 0.0)
    position: Any = (0.0, 0.0, 2.7)
    look_at: Any = (0.0, 0.0, 0.0)
    up_direction: Any = (0.0, 1.0, 0.0)
    fov: Any = 0.2
    near: Any = 0.01
    far: Any = 1000.0
    image_width: Any = 800
    image_height: Any = 600


@dataclass
class GuiUpdateMessage:
    updates: Any
    uuid: str = "u"


@dataclass
class FileTransferStartUpload:
    size_bytes: Any
    part_count: Any = 1
    source_component_uuid: Any = "button"
    transfer_uuid: Any = "t"
    filename: Any = "a.jpg"
    mime_type: Any = "image/jpeg"


@dataclass
class FileTransferPart:
    content: Any
    transfer_uuid: Any = "t"


@dataclass
class ShareUrlRequest:
    pass


def _accepts(*messages: object) -> list[bool]:
    found = MessageFilter(lambda raw: messages[raw[0]])
    return [found.accepts(bytes([i])) for i in range(len(messages))]


def test_what_the_viewer_uses_gets_through() -> None:
    values = (True, 3, 0.5, "image", (255, 0, 0), ["a", "b"])
    assert all(_accepts(ViewerCameraMessage(), *(GuiUpdateMessage({"value": value}) for value in values)))


def test_nothing_else_does() -> None:
    nan = float("nan")
    messages = (
        ShareUrlRequest(),
        GuiUpdateMessage({"update_cb": 1}),
        GuiUpdateMessage({"value": 1, "removed": True}),
        GuiUpdateMessage({"value": nan}),
        GuiUpdateMessage({"value": "x" * 5000}),
        GuiUpdateMessage({"value": [[1]]}),
        GuiUpdateMessage({"value": {"a": 1}}),
        GuiUpdateMessage(None),
        ViewerCameraMessage(position=(nan, 0, 0)),
        ViewerCameraMessage(position=(1.0, 0.0)),
        ViewerCameraMessage(position=(1e300, 0.0, 0.0)),
        ViewerCameraMessage(image_width=0),
        ViewerCameraMessage(image_height=10**9),
        ViewerCameraMessage(fov="x"),
        object(),
    )
    assert not any(_accepts(*messages))


def test_uploads_are_bounded() -> None:
    assert _accepts(FileTransferStartUpload(MAX_UPLOAD_BYTES + 1)) == [False]
    assert _accepts(FileTransferStartUpload(-1), FileTransferStartUpload(5, part_count=10**9)) == [False, False]
    assert _accepts(FileTransferStartUpload(5, part_count=0)) == [False], "an empty file"
    assert _accepts(FileTransferPart(b"abc")) == [False], "a part of an upload that was never announced"
    whole = (FileTransferStartUpload(5, 2), FileTransferPart(b"abc"), FileTransferPart(b"de"), FileTransferPart(b"f"))
    assert _accepts(*whole) == [True, True, True, False], "more than was announced"
    assert _accepts(FileTransferStartUpload(5, 2), FileTransferPart(b"abcdef")) == [True, False]
    assert _accepts(FileTransferStartUpload(5, filename="x" * 5000)) == [False]
    several = [FileTransferStartUpload(5, transfer_uuid=f"{i}") for i in range(4)]
    assert _accepts(*several) == [True, True, False, False]


@settings(deadline=None)
@given(raw=st.one_of(st.binary(max_size=80), st.text(max_size=20)))
def test_hostile_bytes_are_dropped(raw: bytes | str) -> None:
    def decode(content: bytes) -> object:
        raise RecursionError(content)

    found = MessageFilter(decode)
    assert not found.accepts(raw)
    assert found.dropped == 1


def _encoded(image: Image.Image, kind: str) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind)
    return stream.getvalue()


def test_photos_are_taken() -> None:
    image = Image.fromarray(np.arange(60 * 40 * 3, dtype=np.uint8).reshape(40, 60, 3))
    for kind in ("JPEG", "PNG", "WEBP"):
        assert uploaded_photo(_encoded(image, kind)).size == (60, 40)
    assert uploaded_photo(_encoded(image, "PNG"), max_side_px=30).size == (30, 20)
    assert uploaded_photo(_encoded(image.convert("RGBA"), "PNG")).mode == "RGB"


def _huge_png() -> bytes:
    """A PNG whose header announces 100,000 x 100,000 pixels."""
    header = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    chunks = b""
    for name, content in ((b"IHDR", header), (b"IDAT", zlib.compress(b"\0" * 100)), (b"IEND", b"")):
        chunks += struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
    return b"\x89PNG\r\n\x1a\n" + chunks


@pytest.mark.parametrize(
    "content",
    [
        b"", b"no image", b"%!PS-Adobe-3.0 EPSF-3.0\n", b"\xff\xd8\xff\xe0" + b"\0" * 100, _huge_png(),
        b"\0" * (MAX_UPLOAD_BYTES + 1), _encoded(Image.new("RGB", (8, 8)), "TIFF"), b"<svg/>",
        _encoded(Image.new("RGB", (8, 8)), "PNG")[:40],
    ],
    ids=["empty", "text", "postscript", "broken jpeg", "bomb", "too many bytes", "tiff", "svg", "cut off"],
)  # fmt: skip
def test_other_uploads_are_refused_in_one_sentence(content: bytes) -> None:
    with pytest.raises(PanoHeadError, match=r"the photo cannot be used: .*; (give|save)"):
        uploaded_photo(content)
