"""Annotated views in memory: images, masks, part maps, landmarks and the attributes that each view shows."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, UInt8

from panohead.attributes.named import HAIR_LENGTHS
from panohead.attributes.vocabulary import light_numbers
from panohead.errors import PanoHeadError
from panohead.files.image import BrokenImage
from panohead.perceptual.head_parts import SIDE
from panohead.synthetic.annotation.files import annotation_files, read_annotation
from panohead.synthetic.color import hair_albedo, lightness
from panohead.training.photo_encoder.rendered import people_records, read_view

_NO_COLOR_STYLES = ("bald", "buzz")
_EXPRESSION_DEG, _FACE_DEG = 75.0, 115.0
"""Yaws up to which an image shows the expression, and beard and glasses."""


def hair_lightness(melanin: float, red: float, gray: float) -> float:
    """Return L* (0 to 100) of hair; gray hair is the lightest."""
    colored = float(lightness(hair_albedo(np.array(melanin), np.array(red))))
    return (1 - gray) * colored + gray * 85.0


def _pair(expression: Mapping[str, float], name: str) -> float:
    return (expression.get(f"{name}Left", 0.0) + expression.get(f"{name}Right", 0.0)) / 2


def _hair_shows(record: Mapping[str, Any], in_color: bool) -> bool:
    if record["headwear"] != "none":
        return False
    return not in_color or (record["hair_style"] not in _NO_COLOR_STYLES and record["dye"] is None)


Reader = Callable[[Mapping[str, Any], Mapping[str, Any], Mapping[str, float], float], float | None]
"""Function of a person's record, a view's, the shot's expression and the yaw; None where the view does not show it."""

NUMBERS: dict[str, Reader] = {
    "age": lambda r, v, e, yaw: r["age"],
    "gender": lambda r, v, e, yaw: r["gender"],
    "skin_tone": lambda r, v, e, yaw: r["tone"],
    "hair_lightness": lambda r, v, e, yaw: (
        hair_lightness(r["hair_melanin"], r["hair_red"], r["grey"]) if _hair_shows(r, True) else None
    ),
    "hair_red": lambda r, v, e, yaw: r["hair_red"] * (1 - r["grey"]) if _hair_shows(r, True) else None,
    "gray_hair": lambda r, v, e, yaw: r["grey"] if _hair_shows(r, True) else None,
    "hair_length": lambda r, v, e, yaw: HAIR_LENGTHS[r["hair_style"]] if _hair_shows(r, False) else None,
    "weight": lambda r, v, e, yaw: r["weight"],
    "brightness": lambda r, v, e, yaw: float(light_numbers(v["lighting"]).mean() / np.log(2)),
    "smile": lambda r, v, e, yaw: _pair(e, "mouthSmile") if yaw <= _EXPRESSION_DEG else None,
    "jawOpen": lambda r, v, e, yaw: e.get("jawOpen", 0.0) if yaw <= _EXPRESSION_DEG else None,
    "blink": lambda r, v, e, yaw: _pair(e, "eyeBlink") if yaw <= _EXPRESSION_DEG else None,
}
"""Attributes that are numbers, in the units of ``generate --set``; hair_lightness is L*, 0 to 100."""
CHOICES: dict[str, Reader] = {
    "beard": lambda r, v, e, yaw: float(r["beard"] not in ("none", "stubble")) if yaw <= _FACE_DEG else None,
    "glasses": lambda r, v, e, yaw: float(r["glasses"] != "none") if yaw <= _FACE_DEG else None,
    "headwear": lambda r, v, e, yaw: float(r["headwear"] != "none"),
    "bald": lambda r, v, e, yaw: float(r["hair_style"] == "bald") if _hair_shows(r, False) else None,
}
"""Attributes that are there (1) or not (0)."""


@dataclass(frozen=True)
class AnnotatedViews:
    """Views of one dataset.

    Attributes:
        images: colors and mask, 0..255.
        parts: part maps.
        landmarks: column, row, visible (see :class:`panohead.synthetic.annotation.Annotation`).
        numbers, choices: columns of :data:`NUMBERS` and :data:`CHOICES`; NaN where a view does not show them.
        yaw_deg: camera.
        person: number of the person.
    """

    images: UInt8[np.ndarray, "view 128 128 4"]
    parts: UInt8[np.ndarray, "view 128 128"]
    landmarks: Float32[np.ndarray, "view landmark 3"]
    numbers: Float32[np.ndarray, "view number"]
    choices: Float32[np.ndarray, "view choice"]
    yaw_deg: Float32[np.ndarray, "view"]
    person: np.ndarray

    def __len__(self) -> int:
        return len(self.images)

    @classmethod
    def read(cls, root: Path, annotations: Path | None = None) -> "AnnotatedViews":
        """Read all annotated views of a finished or growing dataset.

        Args:
            root: folder of ``panohead synthesize`` of 128 pixels.
            annotations: folder of its part maps and landmarks; None for the dataset itself.

        Raises:
            PanoHeadError: when there are none, or a file is broken or of another size.
        """
        where = root if annotations is None else annotations
        views: dict[str, list[Any]] = {name: [] for name in cls.__dataclass_fields__}
        for record in people_records(root):
            for view in record["views"]:
                if all(file.is_file() for file in annotation_files(where, view["image"])):
                    for name, value in _read(root, where, record, view).items():
                        views[name].append(value)
        if not views["images"]:
            raise PanoHeadError(f"{where} holds no part maps of {root}; write them with 'panohead synthesize --parts'")
        floats = ("numbers", "choices", "yaw_deg")
        return cls(**{name: np.array(v, np.float32 if name in floats else None) for name, v in views.items()})


def _read(root: Path, where: Path, record: Mapping[str, Any], view: Mapping[str, Any]) -> dict[str, Any]:
    try:
        pixels = read_view(root, view["image"])
    except (OSError, BrokenImage) as error:
        raise PanoHeadError(f"{root}: {view['image']} cannot be read ({error}); render the dataset again") from error
    annotation = read_annotation(where, view["image"])
    if pixels.shape[:2] != (SIDE, SIDE) or annotation.parts.shape != (SIDE, SIDE):
        raise PanoHeadError(
            f"{root}: {view['image']} is not {SIDE} pixels wide; give a dataset of 'synthesize --resolution {SIDE}'"
        )
    shots = record.get("shots")
    expression = record["expression"] if shots is None else shots[view.get("shot", 0)]["expression"]
    yaw = abs(float(view["yaw_deg"]))
    return {
        "images": pixels,
        "parts": annotation.parts,
        "landmarks": annotation.landmarks,
        "numbers": _row(NUMBERS.values(), record, view, expression, yaw),
        "choices": _row(CHOICES.values(), record, view, expression, yaw),
        "yaw_deg": float(view["yaw_deg"]),
        "person": int(record["person"]),
    }


def _row(
    readers: Any, record: Mapping[str, Any], view: Mapping[str, Any], expression: Mapping[str, float], yaw: float
) -> Sequence[float]:
    values = (reader(record, view, expression, yaw) for reader in readers)
    return [np.nan if value is None else float(value) for value in values]
