"""Messages of browsers: only those that this viewer uses, of the right shape and size, get to viser."""

import math
from collections.abc import Callable
from typing import Any

from panohead.viewer.uploads import MAX_UPLOAD_BYTES

_PART_BYTES = 512 * 1024
_MAX_PARTS = MAX_UPLOAD_BYTES // _PART_BYTES + 2
_MAX_UPLOADS = 2
_MAX_TEXT = 2000
_MAX_ITEMS = 64
_MAX_PIXELS = 16_384


class MessageFilter:
    """Filter of one connection.

    viser applies what browsers send to its own objects as it comes (any property of a control, any number and size of
    uploads) and opens a public tunnel when a browser asks for it. So messages are decoded once before, and those that
    this viewer does not use are dropped.

    Args:
        decode: turns bytes into a message of viser; raises anything for what is none.
    """

    def __init__(self, decode: Callable[[bytes], Any]) -> None:
        self._decode = decode
        self._uploads: dict[str, int] = {}
        self.dropped = 0

    def accepts(self, raw: object) -> bool:
        """Return True for a message that may be handled; others are counted in ``dropped``."""
        try:
            is_good = isinstance(raw, bytes) and self._is_good(self._decode(raw))
        except Exception:
            # Whatever decoding hostile bytes raises, they are no message.
            is_good = False
        self.dropped += not is_good
        return is_good

    def _is_good(self, message: Any) -> bool:
        match type(message).__name__:
            case "ViewerCameraMessage":
                return _is_camera(message)
            case "GuiUpdateMessage":
                return list(message.updates) == ["value"] and _is_value(message.updates["value"])
            case "FileTransferStartUpload":
                return self._begins(message)
            case "FileTransferPart":
                return self._continues(message)
            case _:
                return False

    def _begins(self, message: Any) -> bool:
        texts = (message.source_component_uuid, message.transfer_uuid, message.filename, message.mime_type)
        if not all(isinstance(text, str) and len(text) < 300 for text in texts) or len(self._uploads) >= _MAX_UPLOADS:
            return False
        size, parts = message.size_bytes, message.part_count
        if not (0 <= size <= MAX_UPLOAD_BYTES and 0 < parts <= _MAX_PARTS):
            return False
        if message.transfer_uuid in self._uploads:
            return False
        self._uploads[message.transfer_uuid] = size
        return True

    def _continues(self, message: Any) -> bool:
        left, content = self._uploads.get(message.transfer_uuid), message.content
        if left is None or not isinstance(content, bytes) or not 0 < len(content) <= left:
            return False
        self._uploads[message.transfer_uuid] = left - len(content)
        if left == len(content):
            del self._uploads[message.transfer_uuid]
        return True


def _is_camera(message: Any) -> bool:
    vectors = ((message.wxyz, 4), (message.position, 3), (message.look_at, 3), (message.up_direction, 3))
    if not all(isinstance(v, tuple) and len(v) == size and all(map(_is_number, v)) for v, size in vectors):
        return False
    sides = (message.image_width, message.image_height)
    return all(map(_is_number, (message.fov, message.near, message.far))) and all(0 < s <= _MAX_PIXELS for s in sides)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value) and abs(value) < 1e9


def _is_value(value: object, depth: int = 0) -> bool:
    if isinstance(value, list | tuple):
        return depth == 0 and len(value) <= _MAX_ITEMS and all(_is_value(item, 1) for item in value)
    if isinstance(value, str):
        return len(value) <= _MAX_TEXT
    return isinstance(value, bool) or _is_number(value)
