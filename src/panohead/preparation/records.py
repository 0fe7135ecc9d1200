"""Records of prepared photos and their crops, and the JSON objects that hold them.

One line of ``.prepare/journal.jsonl`` (and of ``prepare.jsonl``) is one :class:`PhotoRecord`. The keys of the JSON
objects and their order are a file format: datasets that older versions began are continued by newer ones.
"""

import dataclasses
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from panohead.files.inside import relative_name

_CROP_SQUARE = ("centre", "half_px", "angle_deg")
"""Keys of the object "crop" within a crop's record, in the order of the fields that it holds."""


_NUMBERS = (
    "confidence", "yaw_deg", "pitch_deg", "roll_deg", "core_px", "sharpness", "outside", "mask_coverage", "mask_pieces",
    "mask_largest",
)  # fmt: skip
"""Keys of the numbers within a crop's record."""


def _require(kind: type[str] | type[float], *values: Any) -> None:
    """Raise TypeError or ValueError unless all values out of a file are texts, or finite numbers."""
    for value in values:
        if kind is str and not isinstance(value, str):
            raise TypeError(f"a {type(value).__name__} is no text")
        if kind is float and (isinstance(value, bool | str) or not math.isfinite(value)):
            raise ValueError("not a finite number")


@dataclass(frozen=True, kw_only=True)
class CropRecord:
    """One head of a photo: its crop, its camera, the measurements that the quality gates compare, and the verdict.

    Attributes:
        reason: reason for leaving the crop out; empty for an accepted one.
        image, mask: names of the files below ``images`` and ``masks``; written for accepted crops only.
        kind, method, confidence: as in :class:`panohead.alignment.head_alignment.Alignment`.
        yaw_deg, pitch_deg, roll_deg: yaw and pitch of the camera, and the head's tilt left in the crop.
        residual: residual of the landmarks' fit, as a share of the face's width; None without landmarks.
        center, half_px, angle_deg: as in :class:`panohead.alignment.crop.HeadCrop`.
        flags: notes that do not reject the crop.
        core_px, sharpness, outside, face_visible: as in :class:`panohead.alignment.quality.CropFacts`.
        mask_coverage, mask_pieces, mask_largest: as in :class:`panohead.alignment.mask_check.MaskFacts`.
        hash: 64 bits as 16 hexadecimal digits; see :func:`panohead.data.duplicates.image_hash`.
        label: the 25 numbers of the camera, rounded to 6 decimals.
        overlay: path of the report's image, relative to the dataset.
        duplicate: True when ``reason`` is that an earlier crop is nearly the same.
    """

    reason: str
    image: str
    mask: str
    kind: str
    method: str
    confidence: float
    yaw_deg: float
    pitch_deg: float
    roll_deg: float
    residual: float | None
    center: tuple[float, float]
    half_px: float
    angle_deg: float
    flags: tuple[str, ...]
    core_px: float
    sharpness: float
    outside: float
    face_visible: float | None
    mask_coverage: float
    mask_pieces: int
    mask_largest: float
    hash: str
    label: tuple[float, ...]
    overlay: str
    duplicate: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object of this record, its keys in the order of the files."""
        values: dict[str, Any] = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        square = [list(values.pop("center")), values.pop("half_px"), values.pop("angle_deg")]
        duplicate = values.pop("duplicate")
        result: dict[str, Any] = {}
        for name, value in values.items():
            if name == "flags":
                # The square stands between the residual and the flags.
                result["crop"] = dict(zip(_CROP_SQUARE, square, strict=True))
            result[name] = list(value) if isinstance(value, tuple) else value
        return {**result, "duplicate": True} if duplicate else result

    @staticmethod
    def from_json(values: Mapping[str, Any]) -> "CropRecord":
        """Return the record that a JSON object holds; the inverse of :meth:`to_json`.

        Raises:
            KeyError, TypeError, ValueError: when the object is not of that form, or a name in it is no name of a file.
        """
        plain = dict(values)
        center, half_px, angle_deg = (plain["crop"][key] for key in _CROP_SQUARE)
        x, y = center
        _require(str, plain["reason"], plain["kind"], plain["method"], plain["hash"])
        _require(float, x, y, half_px, angle_deg, *plain["label"], *(plain[name] for name in _NUMBERS))
        _require(float, *(plain[name] for name in ("residual", "face_visible") if plain[name] is not None))
        _require(str, *plain["flags"])
        if len(plain["label"]) != 25 or not re.fullmatch("[0-9a-f]{16}", plain["hash"]):
            raise ValueError("a label has 25 numbers and a hash 16 hexadecimal digits")
        del plain["crop"]
        for name in ("image", "mask", "overlay"):
            if plain[name]:
                relative_name(plain[name])
        plain["flags"], plain["label"] = tuple(plain["flags"]), tuple(plain["label"])
        return CropRecord(center=(x, y), half_px=half_px, angle_deg=angle_deg, **plain)


@dataclass(frozen=True, kw_only=True)
class PhotoRecord:
    """One photo: what became of it and of each of its heads.

    Attributes:
        photo: name of the photo in reports, unique in a dataset.
        stamp: size, time of change, given pose and given mask; another stamp means that the photo has changed.
        reason: reason for leaving the whole photo out; empty when its heads were cropped.
        notes: changes made in decoding the photo, such as "first frame".
        crops: one record per head.
        again: True when the next run shall try the photo again.
        photo_px: width and height of the decoded photo; None when it was not decoded.
        heads_found: number of heads in the photo; None when none was found or nothing was searched for.
        overlay: path of the report's image of a photo without head, relative to the dataset; None otherwise.
    """

    photo: str
    stamp: str
    reason: str = ""
    notes: tuple[str, ...] = ()
    crops: tuple[CropRecord, ...] = ()
    again: bool = False
    photo_px: tuple[int, int] | None = None
    heads_found: int | None = None
    overlay: str | None = None

    @property
    def has_crop(self) -> bool:
        """True when at least one crop was accepted."""
        return any(not crop.reason for crop in self.crops)

    @property
    def reasons(self) -> list[str]:
        """The reasons for leaving out the photo, or each crop that was left out."""
        return [reason for reason in (self.reason, *(crop.reason for crop in self.crops)) if reason]

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object of this record, its keys in the order of the files."""
        result: dict[str, Any] = {
            "photo": self.photo,
            "stamp": self.stamp,
            "reason": self.reason,
            "remarks": list(self.notes),
            "crops": [crop.to_json() for crop in self.crops],
        }
        optional = {
            "again": self.again or None,
            "photo_px": None if self.photo_px is None else list(self.photo_px),
            "heads_found": self.heads_found,
            "overlay": self.overlay,
        }
        return {**result, **{key: value for key, value in optional.items() if value is not None}}

    @staticmethod
    def from_json(values: Mapping[str, Any]) -> "PhotoRecord":
        """Return the record that a JSON object holds; the inverse of :meth:`to_json`.

        Raises:
            KeyError, TypeError, ValueError: when the object is not of that form, or a name in it is no name of a file.
        """
        photo, size = values["photo"], values.get("photo_px")
        if values.get("overlay"):
            relative_name(values["overlay"])
        _require(str, photo, values["stamp"], values["reason"], *values["remarks"])
        return PhotoRecord(
            photo=photo,
            stamp=values["stamp"],
            reason=values["reason"],
            notes=tuple(values["remarks"]),
            crops=tuple(CropRecord.from_json(crop) for crop in values["crops"]),
            again=bool(values.get("again")),
            photo_px=None if size is None else (size[0], size[1]),
            heads_found=values.get("heads_found"),
            overlay=values.get("overlay"),
        )
