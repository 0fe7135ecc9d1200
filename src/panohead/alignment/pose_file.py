"""The pose file: poses of photos that the user gives as CSV.

Columns: ``file``, ``yaw_deg``, ``pitch_deg``, ``roll_deg`` and optionally ``box`` ("left top right bottom" of the head,
hair to chin, in pixels of the upright photo). A row with a box and no yaw says which head is meant; its pose is
estimated. The angles are this package's: yaw 0 the front, positive from the side of the head's left ear, 180 the back;
pitch positive from above; roll the head's clockwise tilt in the photo.
"""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from panohead.data.names import NameIndex
from panohead.errors import PanoHeadError, UsageError
from panohead.files.table_file import FileRow, read_table
from panohead.limits import PITCH_DEG, YAW_DEG, NumberRange

_COLUMNS = "file, yaw_deg, pitch_deg, roll_deg and optionally box"
_ERRORS_SHOWN = 5
_PIXELS = NumberRange(-1e6, 1e6, "pixels")


@dataclass(frozen=True)
class GivenPose:
    """The user's pose of the head in one photo.

    Its text form is part of the stamps of prepared photos (:class:`panohead.preparation.records.PhotoRecord`): with
    other names here, photos of older datasets would be prepared again.

    Attributes:
        yaw_deg, pitch_deg, roll_deg: as :func:`panohead.alignment.angles.view_of_orbit` takes them.
            ``yaw_deg`` None has all three estimated: the box then says which head is meant.
        box: left, top, right, bottom of the head in pixels; None to find the head's outline.

    Raises:
        UsageError: for an angle outside the ranges of :mod:`panohead.limits`, or a box that is none.
    """

    yaw_deg: float | None
    pitch_deg: float
    roll_deg: float
    box: tuple[float, float, float, float] | None = None

    def __post_init__(self) -> None:
        if self.yaw_deg is not None:
            YAW_DEG.real(self.yaw_deg, "yaw_deg")
        PITCH_DEG.real(self.pitch_deg, "pitch_deg")
        YAW_DEG.real(self.roll_deg, "roll_deg")
        if self.box is None:
            return
        if not isinstance(self.box, tuple | list) or len(self.box) != 4:
            raise UsageError(f"the box is {self.box!r:.60}; give its left, top, right and bottom in pixels")
        left, top, right, bottom = (_PIXELS.real(value, "the box") for value in self.box)
        if right <= left or bottom <= top:
            raise UsageError("the box is empty; give left top right bottom in pixels")

    def beside(self, shape: tuple[int, ...]) -> str:
        """Return the reason why a box that shows nothing of a photo of this height and width cannot be used; else "".

        The words before the colon are what reports count by.
        """
        if self.box is None:
            return ""
        left, top, right, bottom = self.box
        if right > 0 and bottom > 0 and left < shape[1] and top < shape[0]:
            return ""
        return (
            f"box beside the photo: it is {left:.0f} {top:.0f} {right:.0f} {bottom:.0f}, and the photo has "
            f"{shape[1]} x {shape[0]} pixels; give left top right bottom in pixels of the upright photo"
        )

    def shrunk(self, factor: float) -> "GivenPose":
        """Return the same pose in a photo that is smaller by ``factor``."""
        if self.box is None:
            return self
        left, top, right, bottom = (value / factor for value in self.box)
        return replace(self, box=(left, top, right, bottom))


class Poses(dict[str, GivenPose]):
    """Poses by the name in the column ``file``, with their index by name."""

    @cached_property
    def index(self) -> NameIndex:
        """Index of the names."""
        return NameIndex(self)

    def __reduce__(self) -> tuple[type, tuple[dict[str, GivenPose]]]:
        return Poses, (dict(self),)


def read_poses(path: Path) -> Poses:
    """Read a pose file: poses by the name in the column ``file``.

    Separators, encodings and decimal commas are told from the file (:mod:`panohead.files.table_file`).

    Raises:
        PanoHeadError: when the file cannot be read, lacks a column or holds rows that make no sense; names their lines.
    """
    columns, rows = read_table(path, "poses")
    if "file" not in columns or not {"yaw_deg", "box"} & set(columns):
        found = f"; it begins with {', '.join(columns[:6])}" if columns else ", but it is empty"
        raise PanoHeadError(f"{path} must begin with the line of column names {_COLUMNS}{found}")
    poses, lines = Poses(), dict[str, int]()
    errors: list[str] = []
    for row in rows:
        try:
            name, pose = _row(row)
            if name in poses:
                raise PanoHeadError(f"{name} has a pose in line {lines[name]} already; keep one")
            poses[name], lines[name] = pose, row.line
        except PanoHeadError as error:
            errors.append(f"line {row.line}: {error}")
    if errors:
        more = f"; and {len(errors) - _ERRORS_SHOWN} more" if len(errors) > _ERRORS_SHOWN else ""
        raise PanoHeadError(f"{path} has rows that cannot be used: {'; '.join(errors[:_ERRORS_SHOWN])}{more}")
    return poses


def find_pose(poses: Mapping[str, GivenPose], name: str) -> GivenPose | None:
    """Return the pose listed under a photo's name, by :mod:`panohead.data.names`; None without one."""
    row = find_row(poses, name)
    return None if row is None else poses[row]


def find_row(poses: Mapping[str, GivenPose], name: str) -> str | None:
    """Return the name under which the pose of a photo is listed; None without one."""
    return (poses.index if isinstance(poses, Poses) else NameIndex(poses)).find(name)


def notes_on_poses(poses: Mapping[str, GivenPose], photos: Iterable[str]) -> list[str]:
    """Return a sentence on every row that belongs to no photo or to more than one."""
    named: dict[str, list[str]] = {row: [] for row in poses}
    for photo in photos:
        row = find_row(poses, photo)
        if row is not None:
            named[row].append(photo)
    notes = [f"the pose of {row} matches no photo" for row, found in named.items() if not found]
    for row, found in named.items():
        if len(found) > 1:
            others = ", ".join(found[:3]) + (f" and {len(found) - 3} more" if len(found) > 3 else "")
            notes.append(f"the pose of {row} was used for {len(found)} photos ({others}); name them by longer paths")
    return notes


def _row(row: FileRow) -> tuple[str, GivenPose]:
    if row.surplus:
        raise PanoHeadError("it has more cells than the first line has names; put the box in quotes")
    name = row.cells.get("file", "").strip().replace("\\", "/").removeprefix("./")
    if not name:
        raise PanoHeadError("the file is not named")
    return name, _pose(row)


def _pose(row: FileRow) -> GivenPose:
    box = _box(row)
    if not row.cells.get("yaw_deg", "").strip():
        given = [name for name in ("pitch_deg", "roll_deg") if row.cells.get(name, "").strip() not in ("", "0")]
        # A box alone says which head is meant, and leaves its pose to be estimated.
        if box is None or given:
            raise PanoHeadError("yaw_deg is missing")
        return GivenPose(None, 0.0, 0.0, box)
    yaw, pitch, roll = (_number(row, row.cells.get(name, ""), name) for name in ("yaw_deg", "pitch_deg", "roll_deg"))
    return GivenPose(yaw, pitch, roll, box)


def _box(row: FileRow) -> tuple[float, float, float, float] | None:
    text = row.cells.get("box", "").strip("[]() \t")
    # Commas are of the numbers where they do not separate the columns, and four of them need no more than three.
    separators = r"[\s;]+" if row.decimal_comma and len(re.split(r"[\s;]+", text)) == 4 else r"[\s,;]+"
    parts = [part for part in re.split(separators, text) if part]
    if not parts:
        return None
    if len(parts) != 4:
        raise PanoHeadError("the box must be four numbers: left top right bottom")
    left, top, right, bottom = (_number(row, part, "the box") for part in parts)
    return left, top, right, bottom


def _number(row: FileRow, text: str, what: str) -> float:
    try:
        value = row.number(text) if text.strip() else 0.0
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise PanoHeadError(f"{what} is {text!r}, not a number")
    return value
