"""Bounded reading of an untrusted file: no announced length is trusted before the file holds as many bytes."""

import io
from dataclasses import dataclass


class Refusal(Exception):
    """Reason for not reading a file, as the rest of a sentence that begins with the file's name."""


def never(what: str) -> Refusal:
    """Return the refusal of a construct that only a forged or foreign file contains."""
    return Refusal(f"{what}, which an official checkpoint never does; refusing to read it.")


def clip(text: str) -> str:
    """Return text from an untrusted file, fit for a one-line message: printable ASCII, at most 80 characters."""
    plain = text[:200].encode("ascii", "backslashreplace").decode("ascii")
    plain = "".join(letter if letter.isprintable() else "?" for letter in plain)
    return plain if len(plain) <= 80 else plain[:77] + "..."


@dataclass(frozen=True)
class Blob:
    """Position and length of bytes in the file that were skipped, not read."""

    offset: int
    length: int


class Source:
    """File that is read from start to end, with each request checked against the bytes present."""

    def __init__(self, file: io.BufferedIOBase, size: int) -> None:
        self.file = file
        self.size = size
        self.position = 0

    def take(self, count: int) -> bytes:
        """Read ``count`` bytes."""
        self.require(count)
        data = self.file.read(count)
        if len(data) != count:
            raise Refusal("became shorter while it was read; copy it again.")
        self.position += count
        return data

    def skip(self, count: int) -> Blob:
        """Skip ``count`` bytes and return where they are."""
        self.require(count)
        blob = Blob(self.position, count)
        self.position += count
        self.file.seek(self.position)
        return blob

    def take_line(self, limit: int = 256) -> str:
        """Read text up to a line feed, at most ``limit`` bytes."""
        start = self.position
        line = self.file.readline(min(limit, self.size - start))
        self.position += len(line)
        if not line.endswith(b"\n"):
            self.require(limit)
            raise Refusal("is damaged: it holds a name without an end.")
        return decode(line[:-1])

    def read_blob(self, blob: Blob, limit: int) -> bytes:
        """Return at most the first ``limit`` bytes of a blob; the reading position stays."""
        self.file.seek(blob.offset)
        data = self.file.read(min(limit, blob.length))
        self.file.seek(self.position)
        return data

    def read_blob_into(self, blob: Blob, target: memoryview) -> None:
        """Fill ``target`` with a blob of its size; the reading position stays."""
        self.file.seek(blob.offset)
        count = self.file.readinto(target) if blob.length else 0
        self.file.seek(self.position)
        if count != blob.length:
            raise Refusal("became shorter while it was read; copy it again.")

    def require(self, count: int) -> None:
        """Refuse unless ``count`` more bytes are present."""
        if count > self.size - self.position:
            raise Refusal("is cut off or damaged: it announces more bytes than it holds; download it again.")


def source_of(data: bytes) -> Source:
    """Return a source over bytes in memory."""
    return Source(io.BytesIO(data), len(data))


def decode(data: bytes) -> str:
    """Decode UTF-8 text; raise ``Refusal`` for anything else."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise Refusal("is damaged: it holds text that is not UTF-8.") from None
