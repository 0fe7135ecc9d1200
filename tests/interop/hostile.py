"""Makers of pickle files for the tests: a small assembler for forged files, and a writer of the official format."""

import contextlib
import io
import pickle
import struct
import sys
import types
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

import torch

# The assembler: each function gives the bytes that push one value.


def text(value: str) -> bytes:
    data = value.encode()
    return pickle.BINUNICODE + struct.pack("<I", len(data)) + data


def blob(data: bytes) -> bytes:
    return pickle.BINBYTES + struct.pack("<I", len(data)) + data


def number(value: int) -> bytes:
    data = value.to_bytes(16, "little", signed=True)
    return pickle.LONG1 + bytes([len(data)]) + data


def several(*values: bytes) -> bytes:
    """A tuple."""
    return pickle.MARK + b"".join(values) + pickle.TUPLE


def numbers(*values: int) -> bytes:
    return several(*map(number, values))


def mapping(**items: bytes) -> bytes:
    return (
        pickle.EMPTY_DICT + pickle.MARK + b"".join(text(key) + value for key, value in items.items()) + pickle.SETITEMS
    )


def named(module: str, name: str) -> bytes:
    """A global."""
    return text(module) + text(name) + pickle.STACK_GLOBAL


def call(module: str, name: str, *arguments: bytes) -> bytes:
    return named(module, name) + several(*arguments) + pickle.REDUCE


def ordered(**items: bytes) -> bytes:
    return (
        call("collections", "OrderedDict")
        + pickle.MARK
        + b"".join(text(key) + value for key, value in items.items())
        + pickle.SETITEMS
    )


def finish(body: bytes, protocol: int = 4) -> bytes:
    return pickle.PROTO + bytes([protocol]) + body + pickle.STOP


def network(class_name: bytes | None = None, source: str = "", **state: bytes) -> bytes:
    name = text("TriPlaneGenerator") if class_name is None else class_name
    meta = mapping(
        type=text("class"), version=number(6), module_src=text(source), class_name=name, state=mapping(**state)
    )
    return call("torch_utils.persistence", "_reconstruct_persistent_obj", meta)


def checkpoint(**attributes: bytes) -> bytes:
    """A whole file: one network G with these attributes."""
    return finish(mapping(G=network(**attributes)))


def stream(
    raw: bytes,
    numel: int,
    kind: str = "FloatStorage",
    location: str = "cpu",
    *,
    magic: Any = 0x1950A86A20F9469CFC6C,
    version: Any = 1001,
    little_endian: bool = True,
    reference: bytes | None = None,
    keys: Any = ("94001",),
    announced: int | None = None,
) -> bytes:
    """A storage as torch.save writes it in the old format; the keyword arguments spoil it."""
    if reference is None:
        parts = (
            text("storage"),
            f"ctorch\n{kind}\n".encode(),
            text("94001"),
            text(location),
            number(numel),
            pickle.NONE,
        )
        reference = finish(several(*parts) + pickle.BINPERSID, protocol=2)
    system = {"protocol_version": 1001, "little_endian": little_endian, "type_sizes": {"short": 2, "int": 4, "long": 4}}
    head = [pickle.dumps(value, protocol=2) for value in (magic, version, system)]
    tail = pickle.dumps(list(keys), protocol=2) + struct.pack("<q", numel if announced is None else announced)
    return b"".join(head) + reference + tail + raw


def tensor(
    storage: bytes | None = None,
    offset: bytes | None = None,
    size: bytes | None = None,
    stride: bytes | None = None,
) -> bytes:
    """Four floats 0, 1, 2, 3 unless told otherwise."""
    four = blob(stream(struct.pack("<4f", 0, 1, 2, 3), 4))
    return call(
        "torch._utils",
        "_rebuild_tensor_v2",
        call("torch.storage", "_load_from_bytes", four) if storage is None else storage,
        number(0) if offset is None else offset,
        numbers(4) if size is None else size,
        numbers(1) if stride is None else stride,
        pickle.NEWFALSE,
        call("collections", "OrderedDict"),
    )


def stored(data: bytes) -> bytes:
    """A file whose network has one tensor of four elements, kept in this storage stream."""
    return checkpoint(value=tensor(call("torch.storage", "_load_from_bytes", blob(data))))


def scalar(dtype: str, data: bytes, state: bytes | None = None) -> bytes:
    kind = call("numpy", "dtype", text(dtype), pickle.NEWFALSE, pickle.NEWTRUE)
    rest = several(number(3), text("<"), pickle.NONE, pickle.NONE, pickle.NONE, number(-1), number(-1), number(0))
    return call("numpy.core.multiarray", "scalar", kind + (state or rest) + pickle.BUILD, blob(data))


# The official format, written by Python's own pickler from objects of classes with the official names.


class Persistent:
    """An object that pickles like one of the official network classes."""

    def __init__(self, class_name: str, source: str = "", **state: Any) -> None:
        self.meta = {
            "type": "class",
            "version": 6,
            "module_src": source,
            "class_name": class_name,
            "state": {
                "training": False,
                "_parameters": OrderedDict(state.pop("parameters", {})),
                "_buffers": OrderedDict(state.pop("buffers", {})),
                "_non_persistent_buffers_set": state.pop("transient", set()),
                "_backward_hooks": OrderedDict(),
                "_modules": OrderedDict(state.pop("modules", {})),
                **state,
            },
        }

    def __reduce__(self) -> Any:
        return sys.modules["torch_utils.persistence"]._reconstruct_persistent_obj, (self.meta,)


@contextlib.contextmanager
def official_modules() -> Iterator[types.SimpleNamespace]:
    """Modules with the official names and empty classes in them, for as long as a file is written."""

    def _reconstruct_persistent_obj(meta: dict[str, Any]) -> None:
        raise AssertionError("nothing may call this")

    class EasyDict(dict):
        pass

    class RaySampler(torch.nn.Module):
        pass

    places = {
        "torch_utils.persistence": _reconstruct_persistent_obj,
        "dnnlib.util": EasyDict,
        "training.volumetric_rendering.ray_sampler": RaySampler,
    }
    made = {}
    for path, thing in places.items():
        thing.__module__, thing.__qualname__ = path, thing.__name__
        parents = [".".join(path.split(".")[: end + 1]) for end in range(path.count(".") + 1)]
        made |= {parent: types.ModuleType(parent) for parent in parents}
        setattr(made[path], thing.__name__, thing)
    before = {name: sys.modules.get(name) for name in made}
    sys.modules.update(made)
    try:
        yield types.SimpleNamespace(EasyDict=EasyDict, RaySampler=RaySampler)
    finally:
        for name, module in before.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module


def official_pickle(content: Any, protocol: int = 4, framed: bool = True) -> bytes:
    """The bytes of ``content`` (made inside ``official_modules``), written by Python's own pickler.

    Without frames, whose lengths give most damage away at once, a reader has to notice it at its place.
    """
    target = io.BytesIO()
    pickler = pickle.Pickler(target, protocol) if framed else pickle._Pickler(target, protocol)
    if not framed:
        pickler.framer.start_framing = lambda: None
    pickler.dump(content)
    return target.getvalue()
