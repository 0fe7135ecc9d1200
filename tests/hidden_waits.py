"""A guard that finds waits for the device and copies to or from the host, on a machine without a GPU.

Networks and inputs are put on PyTorch's "meta" device, which has shapes but no numbers. Code takes the same branches
there as on a GPU (every CPU kernel declines), and whatever needs a number on the host is seen by the guard:

* ``.item()``, ``float()``, ``bool()``, ``.tolist()``, ``torch.equal``: a wait for all work queued so far,
* ``nonzero``, boolean indexing, ``unique``: results whose shape is not known before the device is done,
* ``.cpu()``, ``.to("cpu")``, ``.numpy()``: a copy to the host,
* ``torch.tensor(...)`` on the device, ``.to(device)`` of a host tensor, indexing with Python lists: a copy from the
  host, which also stops CUDA graphs. With ``non_blocking=True`` it is counted apart (``Waits.uploads``).

On a GPU ``torch.cuda.set_sync_debug_mode("error")`` plays this part (tests/gpu).
"""

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from panohead.presets import tiny as tiny_preset
from panohead.training.augmentation.config import AugmentConfig
from panohead.training.config import TrainConfig
from panohead.training.regularizers import DensityRegularizerConfig

DEVICE = torch.device("meta")

_aten = torch.ops.aten
_SHAPE_FROM_DATA = {_aten.nonzero, _aten.masked_select, _aten._unique2, _aten.unique_dim, _aten.unique_consecutive}
_COPIES = {_aten._to_copy, _aten.copy_}
_FACTORIES = (torch.tensor, torch.as_tensor, torch.asarray, Tensor.new_tensor)


@dataclass
class Waits:
    """What the guard has seen.

    Attributes:
        found: reads, copies and shapes from data, each with the line of the package that asked for it.
        reads: of those, the numbers that were read from the device.
        uploads: copies from the host that do not wait (``non_blocking=True``).
    """

    found: list[str] = field(default_factory=list)
    reads: list[str] = field(default_factory=list)
    uploads: list[str] = field(default_factory=list)


class _Dispatched(TorchDispatchMode):
    def __init__(self, waits: Waits) -> None:
        super().__init__()
        self.waits = waits

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        operator, tensors = func.overloadpacket, [x for x in tree_leaves((args, kwargs)) if isinstance(x, Tensor)]
        on_device = [x for x in tensors if x.device == DEVICE]
        if operator in (_aten._local_scalar_dense, _aten.equal, _aten.is_nonzero) and on_device:
            self._add(self.waits.reads, func)
            return 0 if operator is _aten._local_scalar_dense else True
        if operator in _SHAPE_FROM_DATA and on_device:
            self._add(self.waits.found, func)
            return torch.empty(0, on_device[0].ndim, dtype=torch.int64, device=DEVICE)
        if operator in _COPIES:
            self._check_copy(func, operator, args, kwargs)
            if operator is _aten._to_copy and on_device and torch.device(kwargs.get("device") or DEVICE) != DEVICE:
                return torch.zeros(args[0].shape, dtype=kwargs.get("dtype") or args[0].dtype)
        # Numbers without dimensions ride along in the kernel's arguments.
        elif on_device and any(x.device != DEVICE and x.ndim > 0 for x in tensors):
            self._add(self.waits.found, func)
        return func(*args, **kwargs)

    def _check_copy(self, func: Any, operator: Any, args: Any, kwargs: Any) -> None:
        if operator is _aten.copy_:
            target, source = args[0].device, args[1].device
            waits = not (kwargs.get("non_blocking") or (len(args) > 2 and args[2]))
        else:
            source, target = args[0].device, kwargs.get("device") or args[0].device
            waits = not kwargs.get("non_blocking")
        if source != target:
            upload = target == DEVICE and not waits
            self._add(self.waits.uploads if upload else self.waits.found, func)

    def _add(self, kind: list[str], func: Any) -> None:
        where = _caller()
        kind.append(f"{func} at {where}")
        if kind is self.waits.reads:
            self.waits.found.append(kind[-1])


class _Called(TorchFunctionMode):
    """The calls that the dispatcher does not see: constants made on the device from Python numbers."""

    def __init__(self, waits: Waits) -> None:
        super().__init__()
        self.waits = waits

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if func in _FACTORIES and isinstance(result, Tensor) and result.device == DEVICE:
            given = args[1] if func is Tensor.new_tensor else args[0]
            if not (isinstance(given, Tensor) and given.device == DEVICE):
                self.waits.found.append(f"{func.__name__}({given!r}) at {_caller()}")
        if func in (Tensor.__getitem__, Tensor.__setitem__) and args[0].device == DEVICE:
            index = args[1] if isinstance(args[1], tuple) else (args[1],)
            if any(isinstance(i, list) or (isinstance(i, Tensor) and i.dtype == torch.bool) for i in index):
                self.waits.found.append(f"index {args[1]!r} at {_caller()}")
        return result


def _caller() -> str:
    """The innermost line of the package that is being executed."""
    own = [f for f in traceback.extract_stack() if "/panohead/" in f.filename]
    return f"{own[-1].filename.split('/panohead/')[-1]}:{own[-1].lineno}" if own else "the test"


@contextmanager
def hidden_waits() -> Iterator[Waits]:
    """Collect the waits and copies of the code inside; reads return 0, so that it runs on."""
    waits = Waits()
    with _Dispatched(waits), _Called(waits):
        yield waits


def training_with_all_updates() -> TrainConfig:
    """The preset "tiny" with augmentation and with all four updates at step 16: R1 and density regularization too."""
    config = tiny_preset()
    return replace(
        config,
        batch=4,
        micro_batch=2,
        density_regularizer=DensityRegularizerConfig(kind="monotonic-detach"),
        generator_adam=replace(config.generator_adam, interval=4),
        augment=AugmentConfig(probability=0.5),
    )
