"""Checkpoints: one ``.safetensors`` file with weights, resolved configuration and hash. Loading executes nothing.

Tensor names are ``NETWORK.parameter`` (for example ``G_ema.backbone.blocks.b4.const``). The metadata holds JSON:
``panohead`` (format version), ``networks`` (kind and configuration of each), ``sha256`` of weights and networks,
``kimg``, free ``notes``, and from version 2 on ``metadata_sha256`` of all the other entries. Matrices of a network may
be stored as int8 with ``NETWORK.parameter:scale`` beside them; then the version is 3.
"""

import json
import os
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, TypedDict

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from panohead.attributes import AttributeEncoder, AttributeEncoderConfig
from panohead.errors import PanoHeadError
from panohead.files.file_kind import FileKind, kind_of
from panohead.files.int8_weights import packed_int8, unpacked_int8
from panohead.files.read_json import from_plain, parse_json
from panohead.files.regular import MAX_WEIGHTS_BYTES, check_regular
from panohead.files.tensor_hash import tensors_sha256
from panohead.models.build import build_for
from panohead.models.discriminator import Discriminator, DiscriminatorConfig
from panohead.models.generator import Generator
from panohead.models.generator_config import GeneratorConfig
from panohead.models.photo_encoder import PhotoEncoder, PhotoEncoderConfig
from panohead.system.atomic_write import atomic_path, wait_for_disk
from panohead.system.sealed_metadata import check_seal, sealed

FORMAT_VERSION, _WITHOUT_INT8 = 3, 2
SUFFIX = ".safetensors"


@dataclass(frozen=True)
class Checkpoint:
    """Networks by name ("G_ema", "G", "D", "attributes", "encoder"), in eval mode, with training progress and notes."""

    networks: dict[str, nn.Module]
    kimg: float | None = None
    notes: dict[str, Any] = field(default_factory=dict)
    sha256: str = ""

    def attribute_encoder(self) -> AttributeEncoder | None:
        """Return the network from named attributes to w; None where the checkpoint has none."""
        network = self.networks.get("attributes")
        return network if isinstance(network, AttributeEncoder) else None

    def photo_encoder(self) -> PhotoEncoder | None:
        """Return the network from aligned photos to w; None where the checkpoint has none."""
        network = self.networks.get("encoder")
        return network if isinstance(network, PhotoEncoder) else None

    def fits_float16(self) -> bool:
        """Return True if float16 holds all weights exactly: they were read from such a file and not trained since."""
        weights = (value for network in self.networks.values() for value in network.state_dict().values())
        return all(torch.equal(x.half().to(x.dtype), x) for x in weights if x.is_floating_point())

    def generator(self) -> Generator:
        """Return the generator for inference: the EMA generator if there is one, else the trained one.

        Raises:
            PanoHeadError: when the checkpoint has no generator.
        """
        for name in ("G_ema", "G"):
            network = self.networks.get(name)
            if isinstance(network, Generator):
                return network
        raise PanoHeadError(f"the checkpoint holds no generator, only {', '.join(self.networks) or 'nothing'}")


def save_checkpoint(
    path: str | Path,
    networks: Mapping[str, nn.Module],
    *,
    kimg: float | None = None,
    notes: Mapping[str, Any] | None = None,
    dtype: Literal["float32", "float16"] = "float32",
    in_int8: Collection[str] = (),
) -> str:
    """Write networks to ``path`` atomically: a reader sees the old file or the new one.

    Args:
        dtype: type of the stored floating-point weights; they are float32 again after loading.
        in_int8: networks whose matrices and convolutions are stored in a byte a weight, with a scale a row.

    Returns:
        The SHA-256 of weights and configuration.

    Raises:
        PanoHeadError: when the file cannot be written.
        ValueError: when ``kimg`` or ``notes`` hold a number that is not finite, which JSON does not have.
    """
    path = Path(path)
    if path.suffix != SUFFIX:
        raise PanoHeadError(f"{path} is not a name for a checkpoint; give it the suffix {SUFFIX}")
    tensors: dict[str, Tensor] = {}
    described: dict[str, Any] = {}
    for name, network in networks.items():
        described[name] = _describe(network)
        for key, value in network.state_dict().items():
            stored = value.detach().cpu()
            tensors[f"{name}.{key}"] = stored.to(getattr(torch, dtype)) if stored.is_floating_point() else stored
    tensors = {name: value.contiguous().clone() for name, value in tensors.items()}
    small = {
        f"{name}.{key}" for name in in_int8 for key, p in networks[name].named_parameters() if p.ndim > 1 and p.numel()
    }
    tensors = packed_int8(tensors, small)
    networks_json = json.dumps(described, sort_keys=True)
    digest = tensors_sha256(tensors, networks_json)
    metadata = {
        "panohead": str(FORMAT_VERSION if small else _WITHOUT_INT8),
        "networks": networks_json,
        "sha256": digest,
        "kimg": json.dumps(kimg, allow_nan=False),
        "notes": json.dumps(dict(notes or {}), allow_nan=False),
    }
    write_tensors(path, tensors, sealed(metadata))
    return digest


def load_checkpoint(path: str | Path) -> Checkpoint:
    """Read a checkpoint written by :func:`save_checkpoint` to the CPU and verify its hash.

    Raises:
        PanoHeadError: naming the file, when it is missing, damaged, foreign or of a newer format.
    """
    path = Path(path)
    tensors, metadata = _read(path)
    if "panohead" not in metadata:
        raise PanoHeadError(
            f"{path} is a safetensors file but not a PanoHead checkpoint (its tensors: {_examples(tensors)}); official "
            "pickles are converted by 'panohead import-official'"
        )
    version = parse_json(metadata["panohead"], int, f"{path}, format version", remedy=_REMEDY)
    if version > FORMAT_VERSION:
        raise PanoHeadError(
            f"{path} was written by a newer version of PanoHead; upgrade with 'pip install -U panohead'"
        )
    check_seal(path, metadata, required=version >= 2)
    networks_json = metadata.get("networks", "")
    if tensors_sha256(tensors, networks_json) != metadata.get("sha256"):
        raise PanoHeadError(f"{path} is damaged: its hash does not match; copy or download it again")
    try:
        tensors = unpacked_int8(tensors)
    except ValueError as error:
        raise PanoHeadError(f"{path} is damaged: {error}; {_REMEDY}") from error
    networks: dict[str, nn.Module] = {}
    described = parse_json(networks_json, dict[str, _NetworkDescription], f"{path}, networks", remedy=_REMEDY)
    for name, description in described.items():
        prefix = f"{name}."
        state = {key[len(prefix) :]: value for key, value in tensors.items() if key.startswith(prefix)}
        networks[name] = _build(path, name, description, state)
    kimg = parse_json(metadata.get("kimg", "null"), _KIMG, f"{path}, kimg", remedy=_REMEDY)
    notes = parse_json(metadata.get("notes", "{}"), dict[str, Any], f"{path}, notes", remedy=_REMEDY)
    return Checkpoint(networks, kimg, notes, metadata["sha256"])


_REMEDY = "copy or download it again"
_KIMG: Any = float | None


class _NetworkDescription(TypedDict):
    kind: str
    config: dict[str, Any]


_KINDS: dict[str, tuple[type[Any], type[Any]]] = {
    "generator": (Generator, GeneratorConfig),
    "discriminator": (Discriminator, DiscriminatorConfig),
    "attribute_encoder": (AttributeEncoder, AttributeEncoderConfig),
    "photo_encoder": (PhotoEncoder, PhotoEncoderConfig),
}
"""Classes and configurations of the networks that a checkpoint can hold, by kind."""


def _describe(network: nn.Module) -> dict[str, Any]:
    for kind, (network_class, _) in _KINDS.items():
        if isinstance(network, network_class):
            return {"kind": kind, "config": asdict(network.config)}
    raise TypeError(f"a checkpoint holds {', '.join(_KINDS)}, not {type(network).__name__}")


def _build(path: Path, name: str, description: _NetworkDescription, state: dict[str, Tensor]) -> nn.Module:
    require_finite(path, {f"{name}.{key}": value for key, value in state.items()})
    try:
        network_class, config_class = _KINDS[description["kind"]]
        config = from_plain(config_class, description["config"])
        network: nn.Module = build_for(lambda: network_class(config), state, frozenset({"dataset_label_std"}))
        if isinstance(network, Generator) and "dataset_label_std" not in state:
            network.dataset_label_std = None
        network.load_state_dict(state, strict=True)
    except (KeyError, TypeError, ValueError, RuntimeError, PanoHeadError) as error:
        reason = str(error).splitlines()[0]
        raise PanoHeadError(f"{path}: {name} does not fit this version of PanoHead ({reason})") from error
    return network.eval().requires_grad_(False)


def require_finite(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Check that weights from a file hold neither NaN nor infinity.

    Raises:
        PanoHeadError: naming the file and the first tensor that does.
    """
    for name, value in tensors.items():
        if value.is_floating_point() and not bool(value.isfinite().all()):
            raise PanoHeadError(
                f"{path} holds numbers that are not finite in {name}; its training diverged or it is damaged: take an "
                "earlier one"
            )


def weights_sha256(network: nn.Module) -> str:
    """Return the SHA-256 of all names, types, shapes and values of a network."""
    return tensors_sha256({name: value.detach().cpu() for name, value in network.state_dict().items()})


def write_tensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    """Write a safetensors file that appears whole or not at all. Raises PanoHeadError when it cannot be written."""
    with atomic_path(path) as temporary:
        try:
            save_file(tensors, temporary, metadata=metadata)
        except SafetensorError as error:
            raise OSError(str(error)) from error
        wait_for_disk(temporary)


def _examples(tensors: Mapping[str, Tensor]) -> str:
    return ", ".join(list(tensors)[:3]) + (", ..." if len(tensors) > 3 else "") if tensors else "none"


def _remedy(path: Path, kind: FileKind) -> str:
    """Return what to do with a file that is no safetensors file."""
    if kind.name == "pickle":
        return f"an official one is converted by 'panohead import-official {path} --out {path.stem}{SUFFIX}'"
    if kind.name == "torch":
        return f"PanoHead's own checkpoints end in {SUFFIX}, official ones in .pkl; give one of those"
    return kind.remedy or f"give a {SUFFIX} file of PanoHead or a bundled name such as 'demo'"


def _remedy_of_missing(path: Path) -> str:
    """Return what to do about a file that is not there."""
    # Paths join repeated slashes.
    if path.parts and path.parts[0] in ("http:", "https:", "s3:", "hf:"):
        return "it is an address: download the file and give its path"
    if str(path).startswith("~"):
        return f"a quoted ~ is not your home folder: give {os.path.expanduser(path)}"
    return f"give a {SUFFIX} file or a bundled name such as 'demo'"


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    if not path.exists():
        raise PanoHeadError(f"there is no checkpoint {path}; {_remedy_of_missing(path)}")
    if path.is_dir():
        held = [*sorted(path.glob(f"*{SUFFIX}")), *sorted(path.glob(f"snapshots/*{SUFFIX}"))]
        raise PanoHeadError(f"{path} is a folder; give {held[-1] if held else f'a {SUFFIX} file'}")
    try:
        check_regular(path, MAX_WEIGHTS_BYTES)
        kind = kind_of(path)
        if kind.name != "safetensors":
            raise PanoHeadError(f"{path} is not a readable safetensors file: it is {kind.what}; {_remedy(path, kind)}")
        with safe_open(path, framework="pt", device="cpu") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, dict(file.metadata() or {})  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        remedy = "check its permissions" if isinstance(error, PermissionError) else "copy or download it again"
        raise PanoHeadError(f"{path} is not a readable safetensors file ({reason}); {remedy}") from error
