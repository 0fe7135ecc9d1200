"""The kind of a file by its first bytes, for every file that claims to be a checkpoint or weights.

Nothing is unpacked, parsed or executed; a pickle is only recognized.
"""

import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from panohead.errors import PanoHeadError
from panohead.files.read_json import parse_json
from panohead.files.regular import open_regular

_HEAD = 4096
_MAX_HEADER = 100_000_000  # bytes of JSON that safetensors allow
TORCH_MAGIC = pickle.dumps(0x1950A86A20F9469CFC6C, protocol=2)
"""The magic number with which files of torch.save began before they were zip archives."""
_UNPACK = "unpack it first"

_ARCHIVES = {
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\xfd7zXZ\x00": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"7z\xbc\xaf\x27\x1c": "7z",
    b"Rar!": "RAR",
}
_OTHERS = {
    b"GGUF": "a GGUF file of a language model",
    b"\x89HDF\r\n\x1a\n": "an HDF5 file",
    b"\x93NUMPY": "a NumPy array",
    b"\x89PNG": "an image",
    b"\xff\xd8\xff": "an image",
    b"RIFF": "an image or sound",
    b"glTF": "a mesh",
    b"%PDF": "a PDF document",
    b"\x08\x03\x12": "an ONNX network",
}


@dataclass(frozen=True)
class FileKind:
    """A kind of file.

    Attributes:
        name: "safetensors", "pickle", "torch", "zip", "archive", "pointer", "page", "empty", "cut off", "text" or
            "other".
        what: the kind in words that follow "it is".
        remedy: what the user can do; "" where that depends on what was wanted.
    """

    name: str
    what: str
    remedy: str = ""


def kind_of_bytes(head: bytes, size: int) -> FileKind:
    """Return the kind of a file.

    Args:
        head: its first bytes, 512 or more if it has them.
        size: its size in bytes.
    """
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    if size == 0:
        return FileKind("empty", "empty", "copy or download it again")
    if head.startswith(b"PK\x03\x04"):
        # The first entry of torch's archives is the pickle; nothing is unpacked to find it.
        entry = head[30 : 30 + int.from_bytes(head[26:28], "little")]
        return _torch() if entry.endswith(b"/data.pkl") else FileKind("zip", "a zip archive", _UNPACK)
    if head.startswith(TORCH_MAGIC):
        return _torch()
    if head[:1] == b"\x80" and head[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        return FileKind("pickle", "a Python pickle")
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") <= _MAX_HEADER:
        return _safetensors(head, size)
    for start, name in _ARCHIVES.items():
        if head.startswith(start):
            return FileKind("archive", f"{'an' if name == 'xz' else 'a'} {name} archive", _UNPACK)
    if text.startswith(b"version https://git-lfs"):
        return FileKind("pointer", "a git-lfs pointer, not the file itself", "fetch it with `git lfs pull`")
    if text.startswith(b"<"):
        return FileKind("page", "a web page", "the download went to an error or log-in page, fetch the file itself")
    for start, what in _OTHERS.items():
        if head.startswith(start):
            return FileKind("other", what)
    if b"\0" not in head and _is_text(head):
        return FileKind("text", "a text file")
    return FileKind("other", "of no kind that is known here", "copy or download it again")


def kind_of(path: Path) -> FileKind:
    """Return the kind of a file; raises OSError when it cannot be read."""
    with open_regular(path) as file:
        head = file.read(_HEAD)
        size = path.stat().st_size
        kind = kind_of_bytes(head, size)
        if kind.name != "safetensors":
            return kind
        length = int.from_bytes(head[:8], "little")
        header = head[8 : 8 + length] + file.read(max(0, length - (len(head) - 8)))
    return _checked(header, 8 + length, size)


def _torch() -> FileKind:
    return FileKind("torch", "a torch.save file")


def _safetensors(head: bytes, size: int) -> FileKind:
    needed = 8 + int.from_bytes(head[:8], "little")
    if size < needed:
        return _cut_off(size, needed)
    return FileKind("safetensors", "a safetensors file")


def _checked(header: bytes, start: int, size: int) -> FileKind:
    """Compare the size of a safetensors file with what its header says."""
    try:
        entries = parse_json(header, dict[str, Any], "its header")
        ends = [int(entry["data_offsets"][1]) for name, entry in entries.items() if name != "__metadata__"]
    except (PanoHeadError, ValueError, TypeError, KeyError, IndexError):
        return FileKind("other", "a damaged safetensors file", "copy or download it again")
    needed = start + max(ends, default=0)
    return _cut_off(size, needed) if size < needed else FileKind("safetensors", "a safetensors file")


def _cut_off(size: int, needed: int) -> FileKind:
    what = f"cut off: {size:,} of {needed:,} bytes are there"
    return FileKind("cut off", what, "copy or download it again")


def _is_text(head: bytes) -> bool:
    try:
        head.decode("utf-8")
    except UnicodeDecodeError as error:
        return error.start > len(head) - 4  # a letter cut at the end
    return True
