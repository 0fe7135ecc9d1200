"""Records of prepared photos and their crops, and the JSON objects that hold them.

One line of ``.prepare/journal.jsonl`` (and of ``prepare.jsonl``) is one :class:`PhotoRecord`. The keys of the JSON
objects and their order are a file format: datasets that older versions began are continued by newer ones.
"""

import dataclasses
from dataclasses import dataclass
from typing import Annotated, Any, NotRequired, TypedDict

import msgspec

from panohead.files.inside import relative_name

_CROP_SQUARE = ("centre", "half_px", "angle_deg")
"""Keys of the object "crop" within a crop's record, in the order of the fields that it holds."""


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
        head_outside: estimated share of the head that the photo does not show (0 in records of older versions).
        photo_corners: the photo's corners in the crop, shares of its side; None where the photo covers all of it. See
            :mod:`panohead.alignment.photo_area`.
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
    head_outside: float = 0.0
    photo_corners: tuple[tuple[float, float], ...] | None = None
    duplicate: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object of this record, its keys in the order of the files."""
        values: dict[str, Any] = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        square = [list(values.pop("center")), values.pop("half_px"), values.pop("angle_deg")]
        duplicate, corners = values.pop("duplicate"), values.pop("photo_corners")
        outside = values.pop("head_outside")
        result: dict[str, Any] = {}
        for name, value in values.items():
            if name == "flags":
                # The square stands between the residual and the flags.
                result["crop"] = dict(zip(_CROP_SQUARE, square, strict=True))
            result[name] = list(value) if isinstance(value, tuple) else value
        # Keys that older versions did not have are written where they say something.
        result |= {"head_outside": outside} if outside else {}
        result |= {} if corners is None else {"photo_corners": [list(corner) for corner in corners]}
        return {**result, "duplicate": True} if duplicate else result

    @staticmethod
    def from_json(values: "CropJson") -> "CropRecord":
        """Return the record that a JSON object holds; the inverse of :meth:`to_json`.

        Raises:
            OutsideFolder: when a name in it is no name of a file.
        """
        for name in (values["image"], values["mask"], values["overlay"]):
            if name:
                relative_name(name)
        names = {field.name for field in dataclasses.fields(CropRecord)}
        plain: dict[str, Any] = {name: value for name, value in values.items() if name in names}
        square = values["crop"]
        x, y = square["centre"]
        plain["flags"], plain["label"] = tuple(values["flags"]), tuple(values["label"])
        if "photo_corners" in values:
            plain["photo_corners"] = tuple((u, v) for u, v in values["photo_corners"])
        return CropRecord(center=(x, y), half_px=square["half_px"], angle_deg=square["angle_deg"], **plain)


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
    def from_json(values: "PhotoJson") -> "PhotoRecord":
        """Return the record that a JSON object holds; the inverse of :meth:`to_json`.

        Raises:
            OutsideFolder: when a name in it is no name of a file.
        """
        photo, size = values["photo"], values.get("photo_px")
        if values.get("overlay"):
            relative_name(values["overlay"])
        return PhotoRecord(
            photo=photo,
            stamp=values["stamp"],
            reason=values["reason"],
            notes=tuple(values["remarks"]),
            crops=tuple(CropRecord.from_json(crop) for crop in values["crops"]),
            again=values.get("again", False),
            photo_px=None if size is None else (size[0], size[1]),
            heads_found=values.get("heads_found"),
            overlay=values.get("overlay"),
        )


_SquareJson = TypedDict(  # noqa: UP013 - the key's spelling is the file's, not that of the package's names
    "_SquareJson", {"centre": tuple[float, float], "half_px": float, "angle_deg": float}
)
"""Object "crop" of a crop's record. Its keys are a file format."""


class CropJson(TypedDict):
    """JSON object of a :class:`CropRecord`."""

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
    crop: _SquareJson
    flags: list[str]
    core_px: float
    sharpness: float
    outside: float
    face_visible: float | None
    mask_coverage: float
    mask_pieces: int
    mask_largest: float
    hash: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{16}$")]
    label: Annotated[list[float], msgspec.Meta(min_length=25, max_length=25)]
    overlay: str
    head_outside: NotRequired[float]
    photo_corners: NotRequired[list[list[float]]]
    duplicate: NotRequired[bool]


class PhotoJson(TypedDict):
    """JSON object of a :class:`PhotoRecord`: one line of the log."""

    photo: str
    stamp: str
    reason: str
    remarks: list[str]
    crops: list[CropJson]
    again: NotRequired[bool]
    photo_px: NotRequired[tuple[int, int] | None]
    heads_found: NotRequired[int | None]
    overlay: NotRequired[str | None]
