"""Reader of the ``.pkl`` checkpoints of official PanoHead and EG3D that executes nothing in them.

Such a file is a pickle of whole network objects, with the source text of their classes inside; the official loader
runs that text. Here ``Machine`` rebuilds the data alone: networks become ``OfficialModule`` (a class name and its
attributes), tensors are rebuilt on the CPU from checked numbers, source text is dropped, and any global beyond the
eleven an official checkpoint names is refused (docs/reference.md 8.2).
"""

import io
import os
import re
import stat
import struct
from functools import partial
from pathlib import Path
from typing import Any

from jaxtyping import Shaped
from torch import Tensor

from panohead.errors import PanoHeadError
from panohead.files.file_kind import kind_of_bytes
from panohead.interop.bounded_source import Blob, Refusal, Source, clip, never
from panohead.interop.legacy_storage import Storage, read_storage
from panohead.interop.pickle_machine import Budget, Machine, StandIn
from panohead.interop.plain_tree import OfficialModule, check_checkpoint, state_dict

__all__ = ["OfficialModule", "read_official_pickle", "state_dict"]

MAX_FILE_BYTES = 4 * 2**30  # full-size checkpoints have 0.3 to 0.7 GB
# Official tensors do not share numbers; this leaves room for files that do.
MAX_SHARING = 4
SPARE_BYTES = 64 * 2**20

CLASS_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
# numpy's short type names to struct's.
NUMBER_LAYOUTS = {"f2": "e", "f4": "f", "f8": "d", "b1": "?"}
NUMBER_LAYOUTS |= {f"i{size}": code for size, code in ((1, "b"), (2, "h"), (4, "i"), (8, "q"))}
NUMBER_LAYOUTS |= {f"u{size}": code for size, code in ((1, "B"), (2, "H"), (4, "I"), (8, "Q"))}


def read_official_pickle(path: str | Path, *, max_bytes: int = MAX_FILE_BYTES) -> dict[str, Any]:
    """Return the content of an official checkpoint: "G", "D", "G_ema" as ``OfficialModule``, "training_set_kwargs" etc.

    Executes nothing from the file. Tensors are on the CPU, without gradient, with the strides they were saved with;
    those stored together share memory. The numbers are held once: reading needs about the size of the file in memory.

    Raises ``PanoHeadError``, one sentence with the file's name, for a file that is missing, larger than ``max_bytes``,
    damaged, of another format, or that asks for anything an official checkpoint does not need.
    """
    try:
        with _open_regular(Path(path), max_bytes) as file:
            size = os.fstat(file.fileno()).st_size
            _refuse_foreign(file.read(512), size)
            file.seek(0)
            source = Source(file, size)
            checkpoint = _PickleReader(source).read()
            if source.position != size:
                raise Refusal(f"is damaged: {size - source.position} bytes follow the end of its pickle.")
        check_checkpoint(checkpoint)
        return checkpoint
    except Refusal as refusal:
        reason = str(refusal)
    except OSError as error:
        reason = f"cannot be read: {error.strerror or type(error).__name__}."
    # Outside the handlers, so that the error holds no reference to the data read so far.
    name = "".join(letter if letter.isprintable() else "?" for letter in str(path))
    raise PanoHeadError(f"{name} {reason}")


def _open_regular(path: Path, max_bytes: int) -> io.BufferedReader:
    try:
        status = path.stat()
    except FileNotFoundError:
        raise Refusal("does not exist; check the path.") from None
    except ValueError:  # a NUL in the name
        raise Refusal("is not a possible file name; check the path.") from None
    # Checked before opening: opening a pipe waits for its other end.
    if stat.S_ISDIR(status.st_mode):
        raise Refusal("is a directory; name the .pkl file in it.")
    if not stat.S_ISREG(status.st_mode):
        raise Refusal("is not a regular file; give a .pkl file.")
    if status.st_size == 0:
        raise Refusal("is empty; download it again.")
    if status.st_size > max_bytes:
        raise Refusal(
            f"has {status.st_size} bytes, more than the {max_bytes} allowed; no official checkpoint is so large."
        )
    return path.open("rb")


def _refuse_foreign(head: bytes, size: int) -> None:
    kind = kind_of_bytes(head, size)
    if kind.name == "torch":
        raise Refusal(
            "looks like a torch.save file, not an official pickle; give the .pkl that official training writes."
        )
    if kind.name == "safetensors":
        raise Refusal("is a safetensors file, not an official pickle; load it directly, it needs no import.")
    if kind.name != "pickle" and kind.remedy and kind.what.startswith(("a ", "an ")):
        raise Refusal(f"is {kind.what}, not an official pickle; {kind.remedy}.")
    if head[:1] != b"\x80":
        raise Refusal("is not a pickle; give the .pkl file of an official checkpoint.")


class _NumberType:
    """Part of a numpy dtype that scalars need: struct's letter and the byte order, which is set after creation."""

    def __init__(self, code: str) -> None:
        self.code = code
        self.order = "<"


class _PickleReader:
    """Stand-ins of the eleven globals, with their shared state: file, budget, storages already read."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.budget = Budget()
        self.storages: dict[Blob, Storage] = {}
        self.viewed_bytes = 0

    def read(self) -> Any:
        """Return the content of the pickle."""
        return Machine(self.source, self.stand_ins(), build=_set_state, budget=self.budget).run()

    def stand_ins(self) -> dict[tuple[str, str], StandIn]:
        """Return the stand-ins of all accepted globals by (module, name)."""
        scalar = StandIn("numpy.core.multiarray.scalar", call=self.scalar)
        table = {
            ("torch_utils.persistence", "_reconstruct_persistent_obj"): StandIn("a network", call=_persistent_module),
            ("dnnlib.util", "EasyDict"): StandIn("EasyDict", new=dict),
            ("collections", "OrderedDict"): StandIn("OrderedDict", call=_ordered_dict),
            ("torch._utils", "_rebuild_tensor_v2"): StandIn("a tensor", call=self.tensor),
            ("torch._utils", "_rebuild_parameter"): StandIn("a parameter", call=_parameter),
            ("torch.storage", "_load_from_bytes"): StandIn("a storage", call=self.storage),
            ("numpy.core.multiarray", "scalar"): scalar,
            ("numpy._core.multiarray", "scalar"): scalar,
            ("numpy", "dtype"): StandIn("numpy.dtype", call=_number_type),
        }
        # Modules without a stored source text are pickled as plain objects.
        for module, name in (
            ("torch.nn.modules.container", "Sequential"),
            ("torch.nn.modules.activation", "Softplus"),
            ("training.volumetric_rendering.ray_sampler", "RaySampler"),
        ):
            table[module, name] = StandIn(name, new=partial(OfficialModule, name))
        return table

    def storage(self, arguments: tuple[Any, ...]) -> Storage:
        """Return the storage kept in a blob, read once."""
        if len(arguments) != 1 or type(arguments[0]) is not Blob:
            raise never("loads a storage from something other than its own bytes")
        blob = arguments[0]
        # Bytes that are referred to twice are one storage, so memory stays below the size of the file.
        if blob not in self.storages:
            self.storages[blob] = read_storage(self.source, blob, self.budget)
        return self.storages[blob]

    def tensor(self, arguments: tuple[Any, ...]) -> Shaped[Tensor, "..."]:
        """Rebuild a tensor from storage, offset, size and stride."""
        # Storage, offset, size, stride, requires_grad, hooks; newer torch may add metadata. The last three are dropped.
        if len(arguments) not in (6, 7) or type(arguments[0]) is not Storage:
            raise Refusal("is damaged: it rebuilds a tensor from something other than a storage.")
        tensor = arguments[0].view(*arguments[1:4])
        self.viewed_bytes += tensor.nbytes
        if self.viewed_bytes > MAX_SHARING * self.source.size + SPARE_BYTES:
            raise never("makes tensors many times larger than the file")
        return tensor

    def scalar(self, arguments: tuple[Any, ...]) -> bool | int | float:
        """Decode a numpy scalar."""
        if len(arguments) != 2 or type(arguments[0]) is not _NumberType or type(arguments[1]) is not Blob:
            raise Refusal("is damaged: it makes a number from something other than its bytes.")
        layout = arguments[0].order + arguments[0].code
        data = self.source.read_blob(arguments[1], limit=16)
        if len(data) != struct.calcsize(layout):
            raise Refusal("is damaged: it makes a number from the wrong count of bytes.")
        number: bool | int | float = struct.unpack(layout, data)[0]
        return number


def _persistent_module(arguments: tuple[Any, ...]) -> OfficialModule:
    if len(arguments) != 1 or type(arguments[0]) is not dict:
        raise Refusal("is damaged: it describes a network by something other than one dict.")
    description = arguments[0]
    name, state = description.get("class_name"), description.get("state")
    if description.get("type") != "class" or type(state) is not dict:
        raise Refusal("is damaged: it describes something that is not a network.")
    if type(name) is not str or CLASS_NAME.fullmatch(name) is None:
        raise Refusal(
            f"names a class {clip(name) if type(name) is str else 'without text'}, which is not a class name."
        )
    return OfficialModule(name, state)


def _parameter(arguments: tuple[Any, ...]) -> Shaped[Tensor, "..."]:
    if len(arguments) != 3 or type(arguments[0]) is not Tensor:
        raise Refusal("is damaged: it makes a parameter from something other than a tensor.")
    return arguments[0]


def _ordered_dict(arguments: tuple[Any, ...]) -> dict[str, Any]:
    if arguments:
        raise never("fills an OrderedDict while making it")
    return {}


def _number_type(arguments: tuple[Any, ...]) -> _NumberType:
    # dtype(name, align, copy)
    if len(arguments) != 3 or type(arguments[0]) is not str or arguments[0] not in NUMBER_LAYOUTS:
        wanted = clip(arguments[0]) if arguments and type(arguments[0]) is str else "without a name"
        raise never(f"asks for the numpy type {wanted}")
    return _NumberType(NUMBER_LAYOUTS[arguments[0]])


def _set_state(target: Any, state: Any) -> None:
    if type(target) is OfficialModule and not target.state and type(state) is dict:
        if any(type(key) is not str for key in state):
            raise Refusal("is damaged: an attribute of a module has no name.")
        target.state.update(state)
    elif type(target) is _NumberType:
        # (version, byte order, then what only structured types use)
        if type(state) is not tuple or len(state) < 2 or state[1] not in ("<", ">", "|", "="):
            raise Refusal("is damaged: it gives a numpy type without a byte order.")
        target.order = ">" if state[1] == ">" else "<"
    else:
        raise never("sets the state of an object that has none")
