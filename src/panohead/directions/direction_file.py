"""Directions in w with names: moved along by amounts in standard deviations, kept in a ``.safetensors`` file."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jaxtyping import Float
from safetensors import SafetensorError, safe_open
from torch import Tensor

from panohead.attributes.editing import check_values
from panohead.attributes.named import NumberSetting
from panohead.checkpoint import require_finite, write_tensors
from panohead.errors import PanoHeadError, UsageError
from panohead.files.read_json import parse_json
from panohead.files.regular import MAX_WEIGHTS_BYTES, check_regular
from panohead.head import Head
from panohead.limits import NumberRange

AMOUNT = NumberRange(-5, 5, "standard deviations")
"""Amounts by which a head moves along a direction."""
_FORMAT = "panohead_directions"
_REMEDY = "make it again with 'panohead directions'"


@dataclass(frozen=True)
class Directions:
    """Named directions of one generator's w.

    Attributes:
        names: one per direction.
        vectors: displacement in w for an amount of 1, a standard deviation of the generator's heads.
        checkpoint_sha256: hash of the checkpoint that they belong to.
        figures: what was measured of each, by name; see :func:`panohead.directions.find.find_directions`.
    """

    names: tuple[str, ...]
    vectors: Float[Tensor, "direction w_dim"]
    checkpoint_sha256: str = ""
    figures: Mapping[str, Any] = field(default_factory=dict)

    def moved(self, head: Head, amounts: Mapping[str, float]) -> Head:
        """Return a head moved along some directions; all rows of its ws move together.

        Args:
            head: a head of the generator that the directions belong to.
            amounts: standard deviations by name.

        Raises:
            UsageError: for a name that does not exist, an amount out of range, or a head of another size.
        """
        if head.ws.shape[-1] != self.vectors.shape[1]:
            raise UsageError(
                f"the directions have {self.vectors.shape[1]} numbers and the head's w has {head.ws.shape[-1]}; give "
                "those of its checkpoint"
            )
        checked = check_values(self.settings(), amounts)
        ws = head.ws.clone()
        for name, amount in checked.items():
            ws += float(amount) * self.vectors[self.names.index(name)].to(ws)
        return Head(head.generator, ws, head.camera_offset, head.attribute_encoder)

    def settings(self) -> dict[str, NumberSetting]:
        """Return the directions as numbers that users set by name."""
        return {name: NumberSetting(name, AMOUNT) for name in self.names}


def save_directions(directions: Directions, path: Path) -> None:
    """Write directions to a file. Raises PanoHeadError when that cannot be done."""
    metadata = {
        _FORMAT: "1",
        "names": json.dumps(directions.names),
        "checkpoint_sha256": directions.checkpoint_sha256,
        "figures": json.dumps(dict(directions.figures)),
    }
    write_tensors(path, {"vectors": directions.vectors.float().cpu().contiguous()}, metadata)


def load_directions(path: str | Path) -> Directions:
    """Read a file of :func:`save_directions`.

    Raises:
        PanoHeadError: naming the file, when it is missing, damaged or of another kind.
    """
    path = Path(path)
    if not path.is_file():
        raise PanoHeadError(f"there is no file {path}; make it with 'panohead directions'")
    try:
        check_regular(path, MAX_WEIGHTS_BYTES)
        with safe_open(path, framework="pt", device="cpu") as file:
            metadata = dict(file.metadata() or {})
            if _FORMAT not in metadata:
                raise PanoHeadError(f"{path} holds no directions; {_REMEDY}")
            vectors = file.get_tensor("vectors")
    except (SafetensorError, OSError, ValueError) as error:
        raise PanoHeadError(f"{path} is no readable file of directions ({error}); {_REMEDY}") from error
    names = parse_json(metadata.get("names", ""), list[str], f"{path}, names", remedy=_REMEDY)
    figures = parse_json(metadata.get("figures", "{}"), dict[str, Any], f"{path}, figures", remedy=_REMEDY)
    require_finite(path, {"vectors": vectors})
    if (
        vectors.ndim != 2
        or len(vectors) != len(names)
        or not vectors.is_floating_point()
        or len(set(names)) != len(names)
    ):
        raise PanoHeadError(f"{path} is damaged: {len(names)} names for {tuple(vectors.shape)} numbers; {_REMEDY}")
    return Directions(tuple(names), vectors.float(), metadata.get("checkpoint_sha256", ""), figures)


def check_origin(directions: Directions, sha256: str, path: Path) -> None:
    """Refuse directions of another checkpoint. Raises PanoHeadError."""
    if directions.checkpoint_sha256 != sha256:
        raise PanoHeadError(f"the directions in {path} belong to another checkpoint; {_REMEDY} for this one")
