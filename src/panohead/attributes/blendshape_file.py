"""Files of ARKit weights over time: CSV of Apple's Live Link Face, and JSON."""

import math
import re
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from panohead.errors import PanoHeadError
from panohead.files.read_json import read_json
from panohead.files.regular import path_of
from panohead.files.table_file import FileRow, read_table
from panohead.limits import FPS, FRAMES
from panohead.synthetic.expressions import EXPRESSION_UNITS
from panohead.system.atomic_write import write_bytes

_BY_LOWER = {name.lower(): name for name in EXPRESSION_UNITS}
_POSE = ("headyaw", "headpitch", "headroll")
_OTHERS = {"timecode", "time", "frame", "blendshapecount", *_POSE,
           *(f"{side}eye{turn}" for side in ("left", "right") for turn in ("yaw", "pitch", "roll"))}  # fmt: skip
"""Columns of Live Link Face that are no weights, in lower case."""
_TOLERANCE = 0.1
"""Distance outside 0 to 1 up to which a recorded weight is cut off silently: trackers overshoot a little."""
_RATES = (24.0, 25.0, 30.0, 48.0, 50.0, 60.0, 120.0)
_TIMECODE = re.compile(r"^(\d+):(\d+):(\d+)[:;](\d+(?:\.\d+)?)$")
_GAP = 1.6
"""Steps of time from which frames count as missing."""


@dataclass(frozen=True)
class BlendshapeTrack:
    """Weights of ARKit's 52 units over time.

    Attributes:
        times: seconds from the first frame, rising.
        weights: 0 to 1, in the order of :data:`panohead.synthetic.expressions.EXPRESSION_UNITS`.
        pose: yaw, pitch and roll of the head in radians, as the file has them; None without.
        notes: sentences about what was odd.
    """

    times: Float[np.ndarray, " frame"]
    weights: Float[np.ndarray, "frame 52"]
    pose: Float[np.ndarray, "frame 3"] | None = None
    notes: tuple[str, ...] = ()

    @property
    def seconds(self) -> float:
        """Duration, with the last frame's."""
        steps = np.diff(self.times)
        return float(self.times[-1]) + (float(np.median(steps)) if len(steps) else 1 / 30)

    @property
    def fps(self) -> float:
        """Frames per second, by the median step."""
        steps = np.diff(self.times)
        return float(np.clip(round(1 / float(np.median(steps)), 3), FPS.low, FPS.high)) if len(steps) else 30.0

    def at(self, fps: float) -> "BlendshapeTrack":
        """Return the track at another rate, linear between its frames; gaps are bridged.

        Raises:
            UsageError: for a rate out of range.
        """
        fps = FPS.real(fps, "fps")
        count = max(1, min(math.ceil(self.seconds * fps - 1e-6), int(FRAMES.high)))
        times = np.arange(count) / fps

        def resampled(table: Float[np.ndarray, "frame column"]) -> Float[np.ndarray, "new column"]:
            return np.stack([np.interp(times, self.times, column) for column in table.T], axis=1)

        pose = None if self.pose is None else resampled(np.unwrap(self.pose, axis=0))
        return BlendshapeTrack(times, resampled(self.weights), pose, self.notes)

    def frames(self) -> list[dict[str, float]]:
        """Return the weights of every frame by name."""
        return [dict(zip(EXPRESSION_UNITS, map(float, row), strict=True)) for row in self.weights]


def read_blendshapes(path: str | Path) -> BlendshapeTrack:
    """Read a track from a ``.csv`` or ``.json`` file.

    CSV: a line per frame; a column per unit, by ARKit's names in any case; ``Timecode`` (``hh:mm:ss:ff.fff``) or
    ``Time`` (seconds), without either 30 frames a second. JSON: a list of frames, each an object of weights, or an
    object with ``frames`` and ``fps``; a frame may be ``{"time": seconds, "weights": {...}}``.

    Raises:
        PanoHeadError: naming the file and the place, when there is no frame, a name that does not exist (the nearest
            are suggested), a weight far outside 0 to 1, or a time that does not rise.
    """
    path = path_of(path)
    suffix = path.suffix.lower()
    if suffix not in (".csv", ".json"):
        raise PanoHeadError(f"{path} is neither .csv nor .json; give a CSV of Live Link Face or JSON of ARKit weights")
    times, frames, pose, notes = _read_csv(path) if suffix == ".csv" else _read_json(path)
    if not frames:
        raise PanoHeadError(f"{path} holds no frame; give a recording with at least one")
    if len(frames) > FRAMES.high:
        raise PanoHeadError(f"{path} holds {len(frames)} frames; cut it into parts of at most {FRAMES.high:.0f}")
    table = _filled(np.array(frames), notes)
    seconds = np.asarray(times, np.float64)
    steps = np.diff(seconds)
    if (steps <= 0).any():
        place = int(np.flatnonzero(steps <= 0)[0]) + 2
        raise PanoHeadError(f"{path}: the time of frame {place} is not after that of the one before; sort the frames")
    if len(steps):
        usual = float(np.median(steps))
        gaps = steps[steps > _GAP * usual]
        if len(gaps):
            notes.append(f"{len(gaps)} gaps of up to {gaps.max():.2g} s are bridged by straight lines")
    return BlendshapeTrack(seconds - seconds[0], table, None if pose is None else np.array(pose), tuple(notes))


def write_blendshapes(path: Path, track: BlendshapeTrack) -> None:
    """Write a track as a CSV that :func:`read_blendshapes` takes: ``Time`` (seconds), the units, the pose in radians.

    Raises:
        PanoHeadError: when the file cannot be written.
    """
    pose = [] if track.pose is None else ["HeadYaw", "HeadPitch", "HeadRoll"]
    columns = [track.times[:, None], track.weights, *([] if track.pose is None else [track.pose])]
    lines = [",".join(["Time", *EXPRESSION_UNITS, *pose])]
    lines += [",".join(f"{value:.5g}" for value in row) for row in np.concatenate(columns, axis=1)]
    write_bytes(path, ("\n".join(lines) + "\n").encode())


_Read = tuple[list[float], list[list[float]], list[list[float]] | None, list[str]]


def _read_csv(path: Path) -> _Read:
    columns, rows = read_table(path, "blendshapes")
    names = [name for name in columns if name in _BY_LOWER]
    notes = []
    strange = [name for name in columns if name and name not in _BY_LOWER and name not in _OTHERS]
    for name in strange:
        near = get_close_matches(name, _BY_LOWER, n=1, cutoff=0.8)
        if near:
            raise PanoHeadError(f"{path}: there is no unit {name[:60]!r}; did you mean {_BY_LOWER[near[0]]}?")
    if not names:
        raise PanoHeadError(f"{path} has no column of an ARKit unit, such as JawOpen; give a CSV of Live Link Face")
    if strange:
        notes.append(f"columns that are no units are left out: {', '.join(strange[:5])}")
    place = [EXPRESSION_UNITS.index(_BY_LOWER[name]) for name in names]
    frames, pose = [], []
    for row in rows:
        frame = [0.0] * len(EXPRESSION_UNITS)
        for name, k in zip(names, place, strict=True):
            frame[k] = _weight(_cell(path, row, name), f"{path}, line {row.line}: {_BY_LOWER[name]}")
        frames.append(frame)
        pose.append([_cell(path, row, name) for name in _POSE] if set(_POSE) <= set(columns) else [math.nan] * 3)
    turned = [[0.0 if math.isnan(x) else x for x in angles] for angles in pose] if set(_POSE) <= set(columns) else None
    return _csv_times(path, columns, rows, notes), frames, turned, notes


def _cell(path: Path, row: FileRow, name: str) -> float:
    """Return the number of a cell; NaN for an empty one."""
    text = row.cells.get(name, "").strip()
    if not text:
        return math.nan
    try:
        value = row.number(text)
    except ValueError:
        raise PanoHeadError(f"{path}, line {row.line}: {name} is {text[:40]!r}; give a number") from None
    if not math.isfinite(value):
        raise PanoHeadError(f"{path}, line {row.line}: {name} is {text[:40]!r}; give a finite number")
    return value


def _weight(value: float, where: str) -> float:
    if math.isnan(value):
        return value
    if not -_TOLERANCE <= value <= 1 + _TOLERANCE:
        raise PanoHeadError(f"{where} is {value:.6g}; weights go from 0 to 1")
    return min(max(value, 0.0), 1.0)


def _csv_times(path: Path, columns: list[str], rows: list[FileRow], notes: list[str]) -> list[float]:
    if "timecode" in columns:
        parts = []
        for row in rows:
            found = _TIMECODE.match(row.cells.get("timecode", "").strip())
            if found is None:
                text = row.cells.get("timecode", "")[:40]
                raise PanoHeadError(f"{path}, line {row.line}: Timecode is {text!r}; give hours:minutes:seconds:frame")
            parts.append([float(part) for part in found.groups()])
        # The frame's number counts within the second, up to the rate, which the file does not tell.
        most = max((math.floor(part[3]) for part in parts), default=0) + 1
        rate = next((rate for rate in _RATES if rate >= most), float(most))
        if len(parts) < rate:
            rate = max(rate, 60.0 if most > 30 else 30.0)
            notes.append(f"the timecodes are taken to count {rate:g} frames a second")
        return [h * 3600 + m * 60 + s + f / rate for h, m, s, f in parts]
    if "time" in columns:
        return [_cell(path, row, "time") for row in rows]
    notes.append("there is neither Timecode nor Time; 30 frames a second are assumed")
    return [k / 30 for k in range(len(rows))]


def _read_json(path: Path) -> _Read:
    data: Any = read_json(path, Any, remedy="give a list of frames with ARKit weights")
    notes: list[str] = []
    fps: object = None
    if isinstance(data, dict):
        fps, data = data.get("fps"), data.get("frames")
    if not isinstance(data, list):
        raise PanoHeadError(
            f'{path} is no list of frames; give [{{"jawOpen": 0.5}}, ...] or {{"fps": 30, "frames": [...]}}'
        )
    times, frames = [], []
    for number, entry in enumerate(data, 1):
        where = f"{path}, frame {number}"
        if not isinstance(entry, dict):
            raise PanoHeadError(f'{where} is no object of weights; give one such as {{"jawOpen": 0.5}}')
        weights = entry.get("weights", {k: v for k, v in entry.items() if k != "time"})
        if not isinstance(weights, dict):
            raise PanoHeadError(f'{where}: weights are no object; give one such as {{"jawOpen": 0.5}}')
        frames.append(_json_frame(weights, where))
        times.append(entry.get("time"))
    known = [t for t in times if isinstance(t, int | float) and not isinstance(t, bool)]
    if times and len(known) == len(times):
        return [float(t) for t in known], frames, None, notes
    if fps is None:
        notes.append("the file tells no rate; 30 frames a second are assumed")
    rate = FPS.real(30.0 if fps is None else fps, f"{path}: fps")
    return [k / rate for k in range(len(frames))], frames, None, notes


def _json_frame(weights: dict[str, Any], where: str) -> list[float]:
    frame = [0.0] * len(EXPRESSION_UNITS)
    for name, value in weights.items():
        if name == "_neutral":  # MediaPipe's first blendshape
            continue
        if name not in EXPRESSION_UNITS:
            near = get_close_matches(name, EXPRESSION_UNITS, n=2, cutoff=0.5)
            wanted = f"did you mean {' or '.join(near)}?" if near else "give ARKit's names, such as jawOpen"
            raise PanoHeadError(f"{where}: there is no unit {name[:60]!r}; {wanted}")
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise PanoHeadError(f"{where}: {name} is {str(value)[:40]!r}; give a number from 0 to 1")
        frame[EXPRESSION_UNITS.index(name)] = _weight(float(value), f"{where}: {name}")
    return frame


def _filled(table: Float[np.ndarray, "frame 52"], notes: list[str]) -> Float[np.ndarray, "frame 52"]:
    """Fill cells that are empty (NaN) along time; a column of nothing else is 0."""
    empty = np.isnan(table)
    if not empty.any():
        return table
    notes.append(f"{int(empty.any(axis=1).sum())} frames have empty cells, which take the values around them")
    return bridged(table)


def bridged(table: Float[np.ndarray, "frame column"]) -> Float[np.ndarray, "frame column"]:
    """Return a table whose gaps (NaN) are straight lines between their neighbors in time, at the ends the nearest.

    A column of nothing else is 0.
    """
    filled, empty, frames = table.copy(), np.isnan(table), np.arange(len(table))
    for k in np.flatnonzero(empty.any(axis=0)):
        known = ~empty[:, k]
        filled[:, k] = np.interp(frames, frames[known], table[known, k]) if known.any() else 0.0
    return filled
