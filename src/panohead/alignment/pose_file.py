"""The pose file: poses of photos that the user gives as CSV.

Columns: ``file``, ``yaw_deg``, ``pitch_deg``, ``roll_deg`` and optionally ``box`` ("left top right bottom" of the head,
hair to chin, in pixels of the upright photo). The angles are this package's: yaw 0 the front, positive from the side of
the head's left ear, 180 the back; pitch positive from above; roll the head's clockwise tilt in the photo.
"""

import csv
import io
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from panohead.errors import PanoHeadError
from panohead.files.regular import MAX_FILE_BYTES, read_text, reason_of

_COLUMNS = "file, yaw_deg, pitch_deg, roll_deg and optionally box"
_ERRORS_SHOWN = 5
PoseRow = Mapping[Any, Any]
"""A line's cells by column; cells beyond the columns are a list under the key None."""


@dataclass(frozen=True)
class GivenPose:
    """The user's pose of the head in one photo.

    Its text form is part of the stamps of prepared photos (:class:`panohead.preparation.records.PhotoRecord`): with
    other names here, photos of older datasets would be prepared again.

    Attributes:
        yaw_deg, pitch_deg, roll_deg: as :func:`panohead.alignment.angles.view_of_orbit` takes them.
        box: left, top, right, bottom of the head in pixels; None to find the head's outline.
    """

    yaw_deg: float
    pitch_deg: float
    roll_deg: float
    box: tuple[float, float, float, float] | None = None

    def shrunk(self, factor: float) -> "GivenPose":
        """Return the same pose in a photo that is smaller by ``factor``."""
        if self.box is None:
            return self
        left, top, right, bottom = (value / factor for value in self.box)
        return replace(self, box=(left, top, right, bottom))


def read_poses(path: Path) -> dict[str, GivenPose]:
    """Read a pose file: poses by the name in the column ``file``.

    Raises:
        PanoHeadError: when the file cannot be read, lacks a column or holds rows that make no sense; names their lines.
    """
    try:
        text = read_text(path, MAX_FILE_BYTES)
    except (OSError, UnicodeDecodeError) as error:
        raise PanoHeadError(
            f"cannot read the poses in {path} ({reason_of(error)}); give a CSV file in UTF-8"
        ) from error
    rows = csv.DictReader(io.StringIO(text, newline=""), skipinitialspace=True)
    header = {name.strip().lower() for name in rows.fieldnames or []}
    if not {"file", "yaw_deg"} <= header:
        raise PanoHeadError(f"{path} must begin with the line of column names {_COLUMNS}")
    poses: dict[str, GivenPose] = {}
    lines: dict[str, int] = {}
    errors: list[str] = []
    for row in _cells(rows, path):
        try:
            name, pose = _row(row)
            if name in poses:
                raise PanoHeadError(f"{name} has a pose in line {lines[name]} already; keep one")
            poses[name], lines[name] = pose, rows.line_num
        except PanoHeadError as error:
            errors.append(f"line {rows.line_num}: {error}")
    if errors:
        more = f"; and {len(errors) - _ERRORS_SHOWN} more" if len(errors) > _ERRORS_SHOWN else ""
        raise PanoHeadError(f"{path} has rows that cannot be used: {'; '.join(errors[:_ERRORS_SHOWN])}{more}")
    return poses


def find_pose(poses: Mapping[str, GivenPose], name: str) -> GivenPose | None:
    """Return the pose listed under a photo's name, the end of its path, or its file name alone; None without one."""
    row = find_row(poses, name)
    return None if row is None else poses[row]


def find_row(poses: Mapping[str, GivenPose], name: str) -> str | None:
    """Return the name under which the pose of a photo is listed; None without one."""
    parts = PurePosixPath(name).parts
    return next((row for start in range(len(parts)) if (row := "/".join(parts[start:])) in poses), None)


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


def _cells(rows: "csv.DictReader[str]", path: Path) -> Iterator[PoseRow]:
    try:
        # Spreadsheets leave lines of nothing but commas.
        yield from (row for row in rows if any(isinstance(cell, list) or (cell or "").strip() for cell in row.values()))
    except csv.Error as error:
        raise PanoHeadError(f"line {rows.line_num} of {path} is not CSV ({error})") from error


def _row(row: PoseRow) -> tuple[str, GivenPose]:
    if any(isinstance(cells, list) and any(cell.strip() for cell in cells) for cells in row.values()):
        raise PanoHeadError("it has more cells than the first line has names; put the box in quotes")
    values = {(key or "").strip().lower(): value for key, value in row.items() if isinstance(value, str)}
    name = values.get("file", "").strip().replace("\\", "/").removeprefix("./")
    if not name:
        raise PanoHeadError("the file is not named")
    return name, _pose(values)


def _pose(values: dict[str, str]) -> GivenPose:
    if not values.get("yaw_deg", "").strip():
        raise PanoHeadError("yaw_deg is missing")
    yaw, pitch, roll = (_number(values.get(name, ""), name) for name in ("yaw_deg", "pitch_deg", "roll_deg"))
    box = [part for part in re.split(r"[\s,;]+", values.get("box", "").strip("[]() \t")) if part]
    if not box:
        return GivenPose(yaw, pitch, roll)
    if len(box) != 4:
        raise PanoHeadError("the box must be four numbers: left top right bottom")
    left, top, right, bottom = (_number(part, "the box") for part in box)
    if right <= left or bottom <= top:
        raise PanoHeadError("the box is empty; give left top right bottom in pixels")
    return GivenPose(yaw, pitch, roll, (left, top, right, bottom))


def _number(text: str, what: str) -> float:
    try:
        value = float(text) if text.strip() else 0.0
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise PanoHeadError(f"{what} is {text!r}, not a number")
    return value
