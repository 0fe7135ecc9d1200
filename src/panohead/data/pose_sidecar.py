"""Poses that the user gives: a CSV file beside the photos.

Columns: ``file``, ``yaw_deg``, ``pitch_deg``, ``roll_deg`` and optionally ``box`` ("left top right bottom" of the head,
hair to chin, in pixels of the upright photo). The angles are this package's: yaw 0 the front, positive from the side of
the head's left ear, 180 the back; pitch positive from above; roll the head's clockwise tilt in the picture.
"""

import csv
import io
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from panohead.errors import PanoHeadError

_COLUMNS = "file, yaw_deg, pitch_deg, roll_deg and optionally box"


@dataclass(frozen=True)
class GivenPose:
    """Attributes:
    yaw_deg, pitch_deg, roll_deg: as :func:`panohead.data.pose_convention.view_of_orbit` takes them.
    box: left, top, right, bottom of the head in pixels; None to find the head's outline.
    """

    yaw_deg: float
    pitch_deg: float
    roll_deg: float
    box: tuple[float, float, float, float] | None = None


def read_poses(path: Path) -> dict[str, GivenPose]:
    """The poses by the name in the column ``file``.

    Raises:
        PanoHeadError: when the file cannot be read, lacks a column or holds something that is no number.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise PanoHeadError(f"cannot read the poses in {path} ({error}); give a CSV file in UTF-8") from error
    rows = csv.DictReader(io.StringIO(text, newline=""), skipinitialspace=True)
    header = {name.strip().lower() for name in rows.fieldnames or []}
    if not {"file", "yaw_deg"} <= header:
        raise PanoHeadError(f"{path} must begin with the line of column names {_COLUMNS}")
    poses: dict[str, GivenPose] = {}
    for line, row in enumerate(rows, start=2):
        values = {(key or "").strip().lower(): value for key, value in row.items() if isinstance(value, str)}
        name = values.get("file", "").strip()
        if name:
            poses[name.replace("\\", "/")] = _pose(values, f"line {line} of {path}")
    return poses


def find_pose(poses: Mapping[str, GivenPose], name: str) -> GivenPose | None:
    """The pose of a photo: listed under its name, the end of its path, or its file name alone."""
    parts = PurePosixPath(name).parts
    for start in range(len(parts)):
        found = poses.get("/".join(parts[start:]))
        if found is not None:
            return found
    return None


def _pose(values: dict[str, str], where: str) -> GivenPose:
    names = ("yaw_deg", "pitch_deg", "roll_deg")
    yaw, pitch, roll = (_number(values.get(name, ""), f"{name} in {where}") for name in names)
    box = [part for part in re.split(r"[\s,;]+", values.get("box", "").strip("[]() \t")) if part]
    if not box:
        return GivenPose(yaw, pitch, roll)
    if len(box) != 4:
        raise PanoHeadError(f"the box in {where} must be four numbers: left top right bottom")
    left, top, right, bottom = (_number(part, f"the box in {where}") for part in box)
    if right <= left or bottom <= top:
        raise PanoHeadError(f"the box in {where} is empty; give left top right bottom in pixels")
    return GivenPose(yaw, pitch, roll, (left, top, right, bottom))


def _number(text: str, what: str) -> float:
    try:
        value = float(text) if text.strip() else 0.0
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise PanoHeadError(f"{what} is {text!r}, not a number; correct it")
    return value
