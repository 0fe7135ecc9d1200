"""Content of an official checkpoint: plain data and ``OfficialModule``, checked to be a small, finite tree."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from jaxtyping import Shaped
from torch import Tensor

from panohead.interop.bounded_source import Refusal, never

MAX_DEPTH = 200  # official checkpoints are about 20 deep
MAX_PARTS = 2_000_000  # official checkpoints have about 20 thousand
NETWORK_KEYS = ("G", "D", "G_ema")


@dataclass(frozen=True, eq=False, repr=False)
class OfficialModule:
    """Network object of an official checkpoint: the name of its class and its attributes, as plain data.

    ``state`` holds ``_parameters`` and ``_buffers`` (name -> tensor or None), ``_modules`` (name -> OfficialModule or
    None) and, for the official classes, ``_init_args``, ``_init_kwargs`` and whatever else the object carried.
    Parameters are plain tensors; numpy scalars are Python numbers; OrderedDict and EasyDict are dicts.
    """

    class_name: str
    state: dict[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"OfficialModule({self.class_name!r}, {len(self.state)} attributes)"


def state_dict(module: OfficialModule) -> dict[str, Shaped[Tensor, "..."]]:
    """Return parameters and persistent buffers under their official dotted names, in torch's order, without copies."""
    return dict(_named_tensors(module, ""))


def _named_tensors(module: OfficialModule, prefix: str) -> Iterator[tuple[str, Tensor]]:
    transient = module.state.get("_non_persistent_buffers_set") or ()
    for group in ("_parameters", "_buffers"):
        for name, tensor in module.state.get(group, {}).items():
            if tensor is not None and not (group == "_buffers" and name in transient):
                yield prefix + name, tensor
    for name, child in module.state.get("_modules", {}).items():
        if child is not None:
            yield from _named_tensors(child, f"{prefix}{name}.")


def check_checkpoint(value: Any) -> None:
    """Raise ``Refusal`` unless ``value`` is a dict with a network among G, D and G_ema, and a small tree."""
    if type(value) is not dict or any(type(key) is not str for key in value):
        raise Refusal("holds something other than an official checkpoint: its content is not a dict with names.")
    check_tree(value)
    networks = [value[key] for key in NETWORK_KEYS if value.get(key) is not None]
    if not networks or any(type(network) is not OfficialModule for network in networks):
        raise Refusal("holds no networks; an official checkpoint has G, D or G_ema.")


def check_tree(root: Any) -> None:
    """Raise ``Refusal`` unless everything under ``root`` is plain data without loops, and small when written out.

    A pickle may refer back to earlier values, so a few bytes can describe a list that holds itself, or one that doubles
    fifty times. Here each object is visited once (its children first, without recursion), and the size it would have as
    a tree is added up; whoever walks the result afterwards may recurse freely.
    """
    measured: dict[int, tuple[int, int]] = {}  # by id: parts when written out, depth
    unfinished: set[int] = set()
    pending = [root]
    while pending:
        node = pending[-1]
        if id(node) in measured:
            pending.pop()
            continue
        children = _children(node)
        if id(node) not in unfinished:
            unfinished.add(id(node))
            if any(id(child) in unfinished for child in children):
                raise never("contains itself")
            pending.extend(child for child in children if id(child) not in measured)
            continue
        parts = _own_parts(node) + sum(measured[id(child)][0] for child in children)
        depth = 1 + max((measured[id(child)][1] for child in children), default=0)
        if parts > MAX_PARTS or depth > MAX_DEPTH:
            raise never("unfolds into far more data, or deeper, than a network has")
        measured[id(node)] = (parts, depth)
        unfinished.discard(id(node))
        pending.pop()


def _children(node: Any) -> list[Any]:
    """Return the containers and modules directly inside; refuse anything but plain data."""
    if type(node) is OfficialModule:
        _check_module(node)
        return [node.state]
    values = node.values() if type(node) is dict else node
    children = []
    for value in values:
        if type(value) in (dict, list, tuple, set, OfficialModule):
            children.append(value)
        elif value is not None and type(value) not in (bool, int, float, str, Tensor):
            raise never(f"holds a value that is not plain data ({type(value).__name__})")
    return children


def _own_parts(node: Any) -> int:
    # Long text counts by its length: it may be referred to a million times.
    if type(node) is OfficialModule:
        return 1
    names = node.keys() if type(node) is dict else ()
    values = node.values() if type(node) is dict else node
    return 1 + sum(1 + len(part) // 64 if type(part) is str else 1 for group in (names, values) for part in group)


def _check_module(module: OfficialModule) -> None:
    state = module.state
    for group, kind in (("_parameters", Tensor), ("_buffers", Tensor), ("_modules", OfficialModule)):
        members = state.get(group, {})
        if type(members) is not dict:
            raise Refusal(f"is damaged: {group} of a {module.class_name} is not a dict.")
        for name, member in members.items():
            if type(name) is not str or not name or "." in name:
                raise Refusal(f"is damaged: a {module.class_name} has a member without a proper name.")
            if member is not None and type(member) is not kind:
                raise Refusal(f"is damaged: {group} of a {module.class_name} holds a {type(member).__name__}.")
    if type(state.get("_non_persistent_buffers_set", set())) is not set:
        raise Refusal(f"is damaged: the list of transient buffers of a {module.class_name} is not a set.")
