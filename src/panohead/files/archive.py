"""Zip archives and arrays from elsewhere, without trust in the sizes that they state."""

import errno
import io
import math
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from panohead.files.regular import MAX_FILE_BYTES, check_regular, open_regular, too_large

MAX_ARRAY_BYTES = 1_000_000_000
"""Bytes of all arrays of one file."""
_METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2}
"""Compressions that are read; LZMA takes the memory that the archive asks for."""


class BrokenArchive(OSError):
    """Error for an archive or a member of one that cannot be read; ``strerror`` says why."""

    def __init__(self, reason: object) -> None:
        words = " ".join(str(reason).split()) or type(reason).__name__
        super().__init__(errno.EINVAL, words)


def open_zip(path: Path) -> zipfile.ZipFile:
    """Open a zip archive.

    Raises:
        BrokenArchive: when it is none.
        OSError: when it is no regular file or cannot be read.
    """
    check_regular(path)
    try:
        return zipfile.ZipFile(path)
    except OSError:
        raise
    except Exception as error:  # a damaged archive makes zipfile raise nearly anything
        raise BrokenArchive(error) from error


def read_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, max_bytes: int = MAX_FILE_BYTES) -> bytes:
    """Return the content of one member of at most ``max_bytes`` bytes.

    Raises:
        BrokenArchive: when it is larger, encrypted, compressed in another way, or damaged.
    """
    if info.file_size > max_bytes:
        raise BrokenArchive(too_large(info.file_size, max_bytes))
    if info.compress_type not in _METHODS:
        raise BrokenArchive(f"it is compressed by method {info.compress_type}, which is not read")
    try:
        return archive.read(info)  # zipfile reads no more than the size that was compared
    except Exception as error:  # a damaged archive makes zipfile raise nearly anything
        raise BrokenArchive(error) from error


def read_arrays(
    path: Path, names: Sequence[str] | None = None, *, max_bytes: int = MAX_ARRAY_BYTES
) -> dict[str, np.ndarray]:
    """Return arrays of a ``.npz`` file; nothing in it is executed (no pickles).

    Args:
        names: names of the arrays that are needed; None for all.
        max_bytes: largest size of all of them.

    Raises:
        KeyError: when one is missing.
        BrokenArchive, OSError: when the file cannot be read; when an array is damaged, of objects or too large.
    """
    with open_zip(path) as archive:
        members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
        chosen = [members[name] for name in names] if names is not None else list(members.values())
        if sum(info.file_size for info in chosen) > max_bytes:
            raise BrokenArchive(too_large(sum(info.file_size for info in chosen), max_bytes))
        return {info.filename.removesuffix(".npy"): _array(read_member(archive, info, max_bytes)) for info in chosen}


def check_torch_file(path: Path, max_bytes: int | None = None) -> None:
    """Refuse a file for ``torch.load`` that unpacks to more than it has bytes.

    Raises:
        OSError: when it is no regular file, is larger than ``max_bytes``, or is compressed.
    """
    check_regular(path, max_bytes)
    with open_regular(path, max_bytes) as file:
        if not zipfile.is_zipfile(file):
            return  # torch's older format, which is not compressed
    with open_zip(path) as archive:
        if any(info.compress_type != zipfile.ZIP_STORED for info in archive.infolist()):
            raise BrokenArchive("it is compressed, which torch's files are not")


def _array(content: bytes) -> np.ndarray:
    """Return the array of a ``.npy`` content: its header must state the bytes that are there."""
    file = io.BytesIO(content)
    try:
        version = np.lib.format.read_magic(file)
        reader = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = reader(file)
        if dtype.hasobject or math.prod(shape) * dtype.itemsize != len(content) - file.tell():
            raise BrokenArchive("an array has another size than its header says, or holds objects")
        file.seek(0)
        return np.lib.format.read_array(file, allow_pickle=False)
    except OSError:
        raise
    except Exception as error:  # numpy evaluates the header and raises many kinds
        raise BrokenArchive(error) from error
