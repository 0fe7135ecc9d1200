"""The file of a :class:`HeadParts`: safetensors, matrices as int8 with a scale a row, all of it under hashes."""

import json
from dataclasses import asdict
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any, TypedDict

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from panohead.errors import PanoHeadError
from panohead.files.int8_weights import packed_int8, unpacked_int8
from panohead.files.read_json import parse_json
from panohead.files.regular import MAX_WEIGHTS_BYTES, check_regular, reason_of
from panohead.files.tensor_hash import tensors_sha256
from panohead.perceptual.head_parts import HeadParts, HeadPartsConfig
from panohead.system.atomic_write import atomic_path
from panohead.system.sealed_metadata import check_seal, sealed

VERSION = 1
_FORMAT = "panohead_head_parts"
_REMEDY = "make it again with tools/train_head_parts.py, or leave it away to take the bundled one"


class _StoredConfig(TypedDict):
    parts: list[str]
    landmarks: list[str]
    numbers: list[str]
    choices: list[str]
    channels: list[int]
    decoded: list[int]
    hidden: int


def save_head_parts(network: HeadParts, path: Path, notes: dict[str, Any] | None = None) -> None:
    """Write a network whose normalization is folded (:meth:`HeadParts.fold`).

    Args:
        notes: how it was trained and what was measured; plain values.

    Raises:
        PanoHeadError: when the file cannot be written.
        ValueError: when the normalization is not folded.
    """
    if any(".norm." in name for name in network.state_dict()):
        raise ValueError("fold the network before it is stored")
    state = {name: value.detach().float().contiguous() for name, value in network.state_dict().items()}
    matrices = {name for name, value in state.items() if value.ndim > 1}
    packed = packed_int8({name: value if name in matrices else value.half() for name, value in state.items()}, matrices)
    metadata = {
        _FORMAT: str(VERSION),
        "config": json.dumps(asdict(network.config)),
        "notes": json.dumps(notes or {}, allow_nan=False),
        "sha256": tensors_sha256(packed),
    }
    with atomic_path(path) as temporary:
        try:
            save_file(packed, temporary, metadata=sealed(metadata))
        except SafetensorError as error:
            raise OSError(str(error)) from error


def load_head_parts(path: Path | None = None) -> HeadParts:
    """Read a network to the CPU, in eval mode and without gradients for its weights.

    Args:
        path: file of :func:`save_head_parts`; None for the bundled one, which is read once.

    Raises:
        PanoHeadError: naming the file, when it is missing, damaged, foreign or of a newer format.
    """
    return _bundled() if path is None else _read(path)


def bundled_file() -> Path:
    """Return the place of the bundled network."""
    return Path(str(resources.files("panohead") / "assets" / "head_parts.safetensors"))


@lru_cache(maxsize=1)
def _bundled() -> HeadParts:
    return _read(bundled_file())


def _read(path: Path) -> HeadParts:
    try:
        check_regular(path, MAX_WEIGHTS_BYTES)
        with safe_open(path, framework="pt", device="cpu") as file:
            metadata = dict(file.metadata() or {})
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise PanoHeadError(f"cannot read the network {path} ({reason_of(error)}); {_REMEDY}") from error
    if _FORMAT not in metadata:
        raise PanoHeadError(f"{path} is no network of head parts; {_REMEDY}")
    if parse_json(metadata[_FORMAT], int, f"{path}, format version", remedy=_REMEDY) > VERSION:
        raise PanoHeadError(
            f"{path} was written by a newer version of PanoHead; upgrade with 'pip install -U panohead'"
        )
    check_seal(path, metadata, required=True)
    if tensors_sha256(tensors) != metadata.get("sha256"):
        raise PanoHeadError(f"{path} is damaged: its hash does not match; {_REMEDY}")
    stored = parse_json(metadata.get("config", ""), _StoredConfig, f"{path}, config", remedy=_REMEDY)
    try:
        config = HeadPartsConfig(**{k: tuple(v) if isinstance(v, list) else v for k, v in stored.items()})  # type: ignore[arg-type]
        network = HeadParts(config, folded=True)
        network.load_state_dict({name: value.float() for name, value in unpacked_int8(tensors).items()})
    except (PanoHeadError, ValueError, RuntimeError) as error:
        raise PanoHeadError(f"{path} is damaged ({str(error).splitlines()[0]}); {_REMEDY}") from error
    return network.eval().requires_grad_(False)
