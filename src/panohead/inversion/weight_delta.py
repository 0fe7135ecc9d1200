"""Tuned generators as small files: differences of weights to the checkpoint they were tuned from."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import Tensor

from panohead.checkpoint import require_finite, weights_sha256, write_tensors
from panohead.errors import PanoHeadError
from panohead.files.file_kind import FileKind, kind_of
from panohead.files.read_json import parse_json
from panohead.files.regular import MAX_WEIGHTS_BYTES, check_regular
from panohead.models.build import build_for
from panohead.models.detail_map import with_detail_map
from panohead.models.generator import Generator
from panohead.models.generator_config import GeneratorConfig
from panohead.models.position_maps import with_position_maps
from panohead.system.sealed_metadata import check_seal, sealed

_KIND = "panohead-difference"
_VERSIONS = ("1", "2")
"""Versions that can be read; from 2 on the metadata has a hash."""
_MAX_HALF = 6e4  # below the largest float16, 65504


def save_difference(path: Path, before: Generator, after: Generator, *, notes: Mapping[str, Any] | None = None) -> Path:
    """Write the differences of the tensors that changed, as float16 where they fit; atomic.

    Args:
        path: safetensors file to write.
        before: generator before tuning.
        after: tuned generator; it may have position maps or a map of detail where ``before`` has none.
        notes: values to store in the metadata, as JSON.

    Returns:
        The path.

    Raises:
        PanoHeadError: when the file cannot be written.
    """
    old = before.state_dict()
    tensors: dict[str, Tensor] = {}
    for name, value in after.state_dict().items():
        # Tuning changes weights little, so float16 differences keep more digits than float16 weights would.
        # A map that was not there was zero.
        change = (value - old[name].to(value.device) if name in old else value).detach().cpu()
        if bool((change != 0).any()):
            half = float(change.abs().max()) < _MAX_HALF
            tensors[name] = (change.half() if half else change).contiguous()
    metadata = {
        "kind": _KIND,
        "version": _VERSIONS[-1],
        "base": weights_sha256(before),
        "config": json.dumps(asdict(after.config), sort_keys=True),
        "notes": json.dumps(dict(notes or {}), allow_nan=False),
    }
    write_tensors(path, tensors, sealed(metadata))
    return path


def load_difference(path: Path, base: Generator) -> Generator:
    """Return the tuned generator, in eval mode, on the device of ``base``.

    Args:
        path: file of :func:`save_difference`.
        base: generator before tuning; it is not changed.

    Raises:
        PanoHeadError: for any other file, or one of another generator.
    """
    try:
        check_regular(path, MAX_WEIGHTS_BYTES)
        with safe_open(path, framework="pt", device="cpu") as file:
            metadata = dict(file.metadata() or {})
            changes = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as error:
        kind = kind_of(path) if path.is_file() else FileKind("missing", "not there")
        remedy = kind.remedy or _REMEDY
        raise PanoHeadError(f"{path} is not a readable difference file: it is {kind.what}; {remedy}") from error
    if metadata.get("kind") != _KIND or metadata.get("version") not in _VERSIONS:
        raise PanoHeadError(f"{path} is not a difference file of this version; run 'panohead reconstruct' again")
    check_seal(path, metadata, required=metadata["version"] != "1")
    require_finite(path, changes)
    if metadata.get("base") != weights_sha256(base):
        raise PanoHeadError(f"{path} was tuned from another checkpoint; open that one first")
    config = parse_json(metadata.get("config", ""), GeneratorConfig, f"{path}, config", remedy=_REMEDY)
    base = with_position_maps(base) if config.position_maps else base
    if config.surface_detail and config.detail_map:
        base = with_detail_map(base, config.detail_map)
    state = {name: value.clone() for name, value in base.state_dict().items()}
    for name, change in changes.items():
        if name not in state or change.shape != state[name].shape:
            raise PanoHeadError(f"{path} does not fit its checkpoint ({name}); {_REMEDY}")
        state[name] += change.to(state[name])
    if asdict(config) != asdict(base.config):
        raise PanoHeadError(f"{path} is of a generator with another configuration; {_REMEDY}")
    try:
        tuned = build_for(lambda: Generator(config), state, frozenset({"dataset_label_std"}))
    except PanoHeadError as error:
        raise PanoHeadError(f"{path} does not fit its checkpoint ({error}); {_REMEDY}") from error
    if "dataset_label_std" not in state:
        tuned.dataset_label_std = None
    tuned.load_state_dict(state)
    return tuned.to(next(base.parameters()).device).eval().requires_grad_(False)


_REMEDY = "run 'panohead reconstruct' again"
