"""Samples of the training: two views of one head with all that is known about it, in a compact form on disk.

::

    RUN/samples/NAME-000012.npz   64 samples each; written atomically, so that an interrupted rendering continues
"""

import io
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from panohead.errors import PanoHeadError
from panohead.files.archive import read_arrays
from panohead.files.image import decode_image
from panohead.system.atomic_write import atomic_path

SHARD = 64
"""Samples per file."""
_HELD_OUT = 16  # one of so many
_QUALITY = 92
_NUMBERS = ("label", "offset", "second_label", "w", "attributes")


@dataclass(frozen=True)
class EncoderSample:
    """A head from two sides.

    Attributes:
        photo: the input view: colors and mask, 0..255.
        second: another view, smaller.
        label: official camera of the input view; the true one differs by ``offset``.
        offset: motion of the true camera against it along its own axes (right, down, forward), world units.
        second_label: true camera of the second view.
        w: w of the head, NaN where nobody knows it.
        attributes: attribute vector, NaN where nobody knows it; empty for generators without.
        person: number of the person, by which samples are held out; all views of a person share it.
    """

    photo: UInt8[np.ndarray, "side side 4"]
    second: UInt8[np.ndarray, "small small 4"]
    label: Float[np.ndarray, " 25"]
    offset: Float[np.ndarray, " 3"]
    second_label: Float[np.ndarray, " 25"]
    w: Float[np.ndarray, " w_dim"]
    attributes: Float[np.ndarray, " attribute"]
    person: int


@runtime_checkable
class SampleSource(Protocol):
    """Numbered samples; the same number always gives the same sample.

    Attributes:
        name: name of its files.
        count: number of samples.
    """

    name: str
    count: int

    def sample(self, number: int) -> EncoderSample: ...


@dataclass(frozen=True)
class StoredSample:
    """A sample whose views are still compressed; fields as of :class:`EncoderSample`."""

    photo: bytes
    second: bytes
    label: Float[np.ndarray, " 25"]
    offset: Float[np.ndarray, " 3"]
    second_label: Float[np.ndarray, " 25"]
    w: Float[np.ndarray, " w_dim"]
    attributes: Float[np.ndarray, " attribute"]
    person: int

    @property
    def is_held_out(self) -> bool:
        """True for samples that are for measuring only."""
        return self.person % _HELD_OUT == _HELD_OUT - 1

    def open(self) -> EncoderSample:
        """Decode the views."""
        numbers = {name: getattr(self, name) for name in _NUMBERS}
        return EncoderSample(photo=_decoded(self.photo), second=_decoded(self.second), person=self.person, **numbers)


def _encoded(pixels: UInt8[np.ndarray, "side side 4"]) -> bytes:
    buffer = io.BytesIO()
    # exact: colors are needed where the mask is zero too.
    Image.fromarray(pixels).save(buffer, "WEBP", quality=_QUALITY, alpha_quality=100, method=1, exact=True)
    return buffer.getvalue()


def _decoded(data: bytes) -> UInt8[np.ndarray, "side side 4"]:
    return np.array(decode_image(data, colors=False).image.convert("RGBA"))


def shards(source: SampleSource) -> list[str]:
    """Return the names of a source's files."""
    return [f"{source.name}-{first // SHARD:06d}.npz" for first in range(0, source.count, SHARD)]


def render_samples(source: SampleSource, folder: Path, should_stop: Callable[[], bool]) -> Iterator[int]:
    """Render what is missing in the folder; yield the number of finished samples, first of all those that are there.

    Raises:
        PanoHeadError: when a file cannot be written.
    """
    missing = [(i, name) for i, name in enumerate(shards(source)) if not (folder / name).is_file()]
    done = source.count - sum(_size(source, i) for i, _ in missing)
    yield done
    for i, name in missing:
        samples = []
        for number in range(i * SHARD, i * SHARD + _size(source, i)):
            if should_stop():
                return
            samples.append(source.sample(number))
            yield done + len(samples)
        _write(folder / name, samples)
        done += len(samples)


def _size(source: SampleSource, shard: int) -> int:
    return min(SHARD, source.count - shard * SHARD)


def _write(path: Path, samples: list[EncoderSample]) -> None:
    arrays = {name: np.stack([getattr(s, name) for s in samples]).astype(np.float32) for name in _NUMBERS}
    arrays["person"] = np.array([s.person for s in samples], np.int64)
    for name in ("photo", "second"):
        files = [_encoded(getattr(s, name)) for s in samples]
        arrays[name] = np.frombuffer(b"".join(files), np.uint8)
        arrays[f"{name}_end"] = np.cumsum([len(f) for f in files])
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]


def read_samples(source: SampleSource, folder: Path) -> list[StoredSample]:
    """Read all samples of a source, in order; their views stay compressed.

    Raises:
        PanoHeadError: when a file is missing or damaged.
    """
    found: list[StoredSample] = []
    for name in shards(source):
        path = folder / name
        try:
            found += _read(path)
        except (OSError, KeyError, ValueError, TypeError, zipfile.BadZipFile) as error:
            raise PanoHeadError(f"{path} is not readable; remove it, and it will be rendered again") from error
    return found


def _read(path: Path) -> list[StoredSample]:
    names = [*_NUMBERS, "person", "photo", "photo_end", "second", "second_end"]
    arrays = read_arrays(path, names)
    views: dict[str, list[bytes]] = {}
    for name in ("photo", "second"):
        ends = [0, *arrays[f"{name}_end"].tolist()]
        data = arrays[name].tobytes()
        views[name] = [data[a:b] for a, b in pairwise(ends)]
    return [
        StoredSample(
            photo=views["photo"][i],
            second=views["second"][i],
            person=int(arrays["person"][i]),
            **{name: arrays[name][i] for name in _NUMBERS},
        )
        for i in range(len(arrays["person"]))
    ]
