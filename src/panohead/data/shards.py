"""Datasets in WebDataset shards, read at random places.

A shard is an uncompressed tar archive. A sample is its members of one key (the path up to the first dot of the file's
name): ``KEY.webp`` or another image type, ``KEY.mask.png`` likewise, and ``KEY.json`` with ``{"label": [25 numbers]}``.
The archives' headers are scanned once; images are then read from their offsets, so that order and resumption are those
of folders. https://github.com/webdataset/webdataset describes the format.
"""

import json
import re
import tarfile
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, NotRequired, TypedDict

from PIL import Image

from panohead.data.labels import CORNERS_KEY, LABELS_FILE
from panohead.data.sources import FileSource, max_bytes_of
from panohead.errors import PanoHeadError
from panohead.files.read_json import parse_json
from panohead.files.regular import open_regular, too_large

BLOCK = 512
"""Bytes of a tar header; an archive ends with blocks of zeros."""
_MAX_HEADER_BYTES = 1 << 20
_COUNTED = re.compile(r"(.*)-(\d+)-of-(\d+)\.tar")
_LABEL_FORM = '{"label": [25 numbers]}'


class Member(NamedTuple):
    """Place of one file: the archive, its name inside, its first byte and its length in bytes."""

    shard: Path
    name: str
    offset: int
    size: int

    def __str__(self) -> str:
        return f"{self.shard}/{self.name}"


class ShardSource(FileSource):
    """The images or the masks of a folder of shards. A shard is opened for every file, so any process may read.

    Args:
        path: folder of the shards.
        members: places by name, as a folder would have them: a mask's name is its image's, but for the suffix.
        labels: places of the labels by the images' names, read as one ``dataset.json``; None for masks.
    """

    def __init__(self, path: Path, members: dict[str, Member], labels: dict[str, Member] | None = None) -> None:
        super().__init__(path)
        self._members, self._labels = members, labels

    def names(self) -> list[str]:
        return sorted(self._members)

    def has(self, name: str) -> bool:
        return name in self._members or (name == LABELS_FILE and self._labels is not None)

    def size(self, name: str) -> int:
        return self._members[name].size

    def read(self, name: str) -> bytes:
        if name == LABELS_FILE and self._labels is not None:
            read = list(_read_labels(self._labels))
            index: dict[str, Any] = {"labels": [[name, label] for name, label, _ in read]}
            corners = {name: found for name, _, found in read if found is not None}
            return json.dumps(index | ({CORNERS_KEY: corners} if corners else {})).encode()
        member = self._members[name]
        try:
            with open_regular(member.shard) as file:
                return _read(file, member)
        except OSError as error:
            raise PanoHeadError(f"cannot read {member} ({_reason(error)}); restore the shard") from error

    def describe(self, name: str) -> str:
        if name in self._members:
            return str(self._members[name])
        return f"the .json members of {self.path}" if name == LABELS_FILE else super().describe(name)


class _Header(tarfile.TarInfo):
    """Header of a member, whose stated size is not believed."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> "_Header":
        """Read one header.

        Raises:
            tarfile.ReadError: when it states a negative size, or long names that would fill the memory.
        """
        header = super().frombuf(buf, encoding, errors)
        if header.size < 0 or (header.type not in tarfile.REGULAR_TYPES and header.size > _MAX_HEADER_BYTES):
            raise tarfile.ReadError("a member has a size that cannot be")
        return header


def shard_paths(root: Path) -> list[Path]:
    """Return the shards of a dataset: ``root`` itself, ``root/*.tar`` or ``root/shards/*.tar``, by name."""
    if root.is_file():
        return [root] if root.suffix == ".tar" else []
    folders = (sorted(root.glob("*.tar")), sorted(root.glob("shards/*.tar")))
    return next((paths for paths in folders if paths), [])


def open_shards(root: Path) -> tuple[ShardSource, ShardSource]:
    """Open the images and the masks of the shards of a dataset.

    Raises:
        PanoHeadError: when a shard is missing, damaged or cut off, or two of them hold the same key.
    """
    paths = shard_paths(root)
    _require_all(paths)
    suffixes = Image.registered_extensions()
    photos: dict[str, Member] = {}
    masks: dict[str, Member] = {}
    labels: dict[str, Member] = {}
    for path in paths:
        for member in scan(path):
            key, kind = _key(member.name)
            if kind.lower() == "json":
                _enter(labels, key, member)
            elif f".{kind}".lower() in suffixes:
                _enter(photos, f"{key}.{kind}", member)
            elif kind.lower().startswith("mask.") and kind[4:].lower() in suffixes:
                _enter(masks, f"{key}{kind[4:]}", member)
    known = {name: labels[key] for name in photos if (key := _key(name)[0]) in labels}
    return ShardSource(root, photos, known), ShardSource(root, masks)


def scan(path: Path) -> Iterator[Member]:
    """Yield the files in a shard, by its headers alone.

    Raises:
        PanoHeadError: when it is no whole uncompressed tar archive; it names the last member that was found.
    """
    last = "its beginning"
    try:
        with open_regular(path) as file, tarfile.open(fileobj=file, mode="r:", tarinfo=_Header) as archive:
            before = -1
            while (info := archive.next()) is not None:
                if archive.offset <= before:  # a negative size: reading would never end
                    raise tarfile.ReadError("a member has a negative size")
                before = archive.offset
                archive.members.clear()  # type: ignore[attr-defined]  # or a large archive fills the memory
                last = info.name
                if info.isreg():
                    yield Member(path, info.name.removeprefix("./"), info.offset_data, info.size)
            # Where a header is bad or missing, tarfile ends without an error.
            file.seek(archive.offset)
            if file.read(BLOCK) != bytes(BLOCK):
                raise tarfile.ReadError(f"neither a header nor the end at byte {archive.offset}")
    except (tarfile.TarError, OSError, EOFError) as error:
        raise PanoHeadError(
            f"the shard {path} is damaged or cut off after {last} ({_reason(error)}); write or fetch it again"
        ) from error


def _key(name: str) -> tuple[str, str]:
    """Return the key of a sample and the part after its dot; ``("", "")`` where there is none, as in hidden files."""
    folder, slash, base = name.rpartition("/")
    stem, _, kind = base.partition(".")
    return (f"{folder}{slash}{stem}", kind) if stem and kind else ("", "")


def _enter(members: dict[str, Member], name: str, member: Member) -> None:
    if name in members:
        raise PanoHeadError(f"{members[name]} and {member} have the same key; a sample's key must be its own")
    members[name] = member


def _require_all(paths: list[Path]) -> None:
    """Raise when one of the shards numbered as ``NAME-000003-of-000012.tar`` is missing."""
    series: dict[tuple[str, int], set[int]] = {}
    for match in filter(None, (_COUNTED.fullmatch(path.name) for path in paths)):
        series.setdefault((match[1], int(match[3])), set()).add(int(match[2]))
    for (name, count), found in series.items():
        missing = sorted(set(range(count)) - found)
        if missing:
            raise PanoHeadError(
                f"{paths[0].parent} lacks {len(missing)} of the {count} shards {name}-*.tar, the first being number "
                f"{missing[0]}; write or fetch the dataset again"
            )


def _read_labels(members: dict[str, Member]) -> Iterator[tuple[str, Any, Any]]:
    """Yield names, labels and the photos' corners (None without); each shard is opened once."""
    for shard, entries in groupby(members.items(), key=lambda entry: entry[1].shard):
        try:
            with open_regular(shard) as file:
                for name, member in entries:
                    yield name, *_label(_read(file, member), member)
        except OSError as error:
            raise PanoHeadError(f"cannot read {shard} ({_reason(error)}); restore the shard") from error


class _LabelMember(TypedDict):
    label: list[Any]
    photo_corners: NotRequired[list[list[float]]]


def _label(content: bytes, member: Member) -> tuple[Any, Any]:
    remedy = f"it must be of the form {_LABEL_FORM}; write it again"
    values = parse_json(content, _LabelMember, str(member), remedy=remedy)
    return values["label"], values.get("photo_corners")


def _read(file: BinaryIO, member: Member) -> bytes:
    if member.size > max_bytes_of(member.name):
        raise PanoHeadError(f"{member} cannot be used: {too_large(member.size, max_bytes_of(member.name))}; remove it")
    file.seek(member.offset)
    content = file.read(member.size)
    if len(content) != member.size:
        raise PanoHeadError(
            f"{member} is cut off ({len(content)} of {member.size} bytes); write or fetch the shard again"
        )
    return content


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
