"""Reader of tensor storages inside an official pickle: each is a complete ``torch.save`` file in the non-zip format.

Layout: five pickles (magic number, version, system facts, a reference to the storage, the list of keys), the number of
elements as int64, the raw numbers; all little endian.

Why not ``torch.load(..., weights_only=True)``: it would read these bytes too, but through a far larger reader (devices,
containers, source patches, allocation by announced size) that has had flaws of its own. Here the five pickles go
through ``Machine`` and are only compared with what the writer is known to emit, and the numbers are read straight into
a tensor whose size was checked against the bytes present.
"""

import math
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Shaped
from torch import Tensor

from panohead.interop.bounded_source import Blob, Refusal, Source, clip, never, source_of
from panohead.interop.pickle_machine import Budget, Machine, StandIn

MAGIC_NUMBER = 0x1950A86A20F9469CFC6C
VERSION = 1001
MAGIC_PICKLE = pickle.dumps(MAGIC_NUMBER, protocol=2)
MAX_HEADER_BYTES = 4096  # torch writes about 250
MAX_DIMENSIONS = 8
MAX_EMPTY_EXTENT = 2**31

DTYPES: dict[str, torch.dtype] = {
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "DoubleStorage": torch.float64,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}
STAND_INS: Mapping[tuple[str, str], StandIn] = {("torch", name): StandIn(name) for name in DTYPES}


@dataclass(frozen=True, eq=False)
class Storage:
    """Numbers without a shape, on the CPU, whatever device they were saved from."""

    values: Shaped[Tensor, " element"]

    def view(self, offset: Any, size: Any, stride: Any) -> Shaped[Tensor, "..."]:
        """Return the tensor of the elements from ``offset`` (in elements); it shares memory with the storage.

        Raises ``Refusal`` for anything but whole numbers >= 0 that stay inside the storage. A stride of 0 is accepted
        only as far as the tensor has no more elements than the storage, so a few bytes cannot pose as terabytes.
        """
        if not _whole_numbers((offset,)) or not _whole_numbers(size) or not _whole_numbers(stride):
            raise Refusal("holds a tensor whose offset, size or stride is not made of whole numbers from 0.")
        if len(size) != len(stride) or len(size) > MAX_DIMENSIONS:
            raise Refusal(f"holds a tensor of {len(size)} sizes and {len(stride)} strides.")
        available = self.values.numel()
        elements = math.prod(size)
        last = offset + sum((extent - 1) * step for extent, step in zip(size, stride, strict=True))
        if elements > available or (elements > 0 and last >= available) or offset > available:
            raise Refusal("holds a tensor that reaches beyond its stored numbers.")
        if elements == 0:
            # Nothing is read; the sizes must still be small enough for torch to multiply.
            if math.prod(max(extent, 1) for extent in size) > MAX_EMPTY_EXTENT:
                raise Refusal("holds an empty tensor of impossible size.")
            return self.values.new_empty(size)
        return self.values.as_strided(size, stride, offset)


def _whole_numbers(values: object) -> bool:
    # Exact types: True would pass as 1.
    return type(values) is tuple and all(type(value) is int and value >= 0 for value in values)


@dataclass(frozen=True)
class _Reference:
    dtype: torch.dtype
    key: str
    numel: int


def read_storage(source: Source, blob: Blob, budget: Budget) -> Storage:
    """Return the storage in ``blob``; raise ``Refusal`` unless its bytes are exactly one such stream."""
    data = source.read_blob(blob, MAX_HEADER_BYTES)
    try:
        if data.startswith(b"PK"):
            raise Refusal("is a zip archive, which no official checkpoint uses; save it again with the official code.")
        head = source_of(data)
        reference = _read_header(head, budget)
        numbers = Blob(blob.offset + head.position, blob.length - head.position)
        return Storage(_read_values(source, numbers, reference))
    except Refusal as refusal:
        raise Refusal(f"holds a stored tensor that {refusal}") from None


def _read_header(head: Source, budget: Budget) -> _Reference:
    def read() -> Any:
        return Machine(head, STAND_INS, persistent=_reference, budget=budget).run()

    if read() != MAGIC_NUMBER or read() != VERSION:
        raise Refusal("is not in the storage format of torch.save.")
    system = read()
    if type(system) is not dict or system.get("little_endian") is not True:
        raise Refusal("was saved on a big-endian machine, which is not supported.")
    reference = read()
    if type(reference) is not _Reference:
        raise Refusal("is damaged: it is something other than a storage.")
    if read() != [reference.key]:
        raise Refusal("is damaged: its list of storages is not the one it uses.")
    if int.from_bytes(head.take(8), "little", signed=True) != reference.numel:
        raise Refusal("is damaged: it gives two different sizes.")
    return reference


def _reference(identity: object) -> _Reference:
    # ('storage', type, key, location, number of elements, view); the location is a device's name and is not used.
    if type(identity) is not tuple or len(identity) != 6 or identity[0] != "storage" or identity[5] is not None:
        raise never("refers to something other than one whole storage")
    _, kind, key, location, numel, _ = identity
    if type(kind) is not StandIn or type(key) is not str or type(location) is not str:
        raise Refusal("is damaged: its reference to the storage is malformed.")
    if type(numel) is not int or numel < 0:
        raise Refusal(f"announces {clip(repr(numel))} elements, which is not a size.")
    return _Reference(DTYPES[kind.name], key, numel)


def _read_values(source: Source, numbers: Blob, reference: _Reference) -> Shaped[Tensor, " element"]:
    needed = reference.numel * reference.dtype.itemsize
    if needed != numbers.length:
        raise Refusal(f"is damaged: it announces {needed} bytes and holds {numbers.length}.")
    try:
        raw = torch.empty(needed, dtype=torch.uint8)
    except (MemoryError, RuntimeError):
        raise Refusal(f"does not fit in memory ({needed} bytes); close other programs.") from None
    source.read_blob_into(numbers, memoryview(raw.numpy()))  # type: ignore[arg-type]
    # A byte other than 0 and 1 is not a bool; torch would compute nonsense with it.
    if reference.dtype is torch.bool and needed and int(raw.max()) > 1:
        raise Refusal("is damaged: it holds truth values other than 0 and 1.")
    return raw.view(reference.dtype)
