"""Where a head is when no face says so: a box from a detector, the user's, or the outline of the person."""

import math

import numpy as np
from jaxtyping import Float, UInt8

from panohead.alignment.crop import HeadCrop
from panohead.alignment.pose_network import Network
from panohead.errors import PanoHeadError

Box = tuple[float, float, float, float]
"""Left, top, right, bottom in pixels."""

BOX_TO_CORE = 0.99
"""Height of a head, hair to chin, in cores of the official crop."""
CENTER_BELOW_BOX = 54.0 / 511.0
"""How far below the box's middle the crop's centre lies, in cores."""
_CONFIDENT = 0.3
_OVERLAP = 0.5
_YOLO_PX = 640
_SUPPRESSED_ROWS = 300
_HALF_OF_WIDTH_FRONT, _HALF_OF_WIDTH_SIDE = 0.65, 0.585
_TOP_TO_CENTER = 0.955
_BEHIND = 0.10
_STEPS = 40


def crop_of_box(box: Box, roll_deg: float = 0.0) -> HeadCrop:
    """The crop of a head with this bounding box (measured on official crops: alignment of frontal heads)."""
    left, top, right, bottom = box
    half = (bottom - top) / BOX_TO_CORE / 2
    turn, down = math.radians(roll_deg), CENTER_BELOW_BOX * 2 * half
    center = ((left + right) / 2 - down * math.sin(turn), (top + bottom) / 2 + down * math.cos(turn))
    return HeadCrop(center, half, roll_deg)


def crop_of_outline(mask: Float[np.ndarray, "height width"], yaw_deg: float) -> HeadCrop | None:
    """The crop of the topmost head in a person's mask; None without a person.

    The head's width above the ears gives the size: measured on synthetic heads of all hair styles the half-size has a
    standard deviation of 5 % from the side and 13 % from front and back.
    """
    inside = mask > 0.5
    rows = np.flatnonzero(inside.sum(axis=1) > 0.01 * inside.shape[1])
    if len(rows) == 0:
        return None
    top = int(rows[0])
    sideways = abs(math.sin(math.radians(yaw_deg)))
    share = _HALF_OF_WIDTH_FRONT + (_HALF_OF_WIDTH_SIDE - _HALF_OF_WIDTH_FRONT) * sideways
    half = max(4.0, 0.02 * len(rows))
    # From a small start the fixed point is the head, not the shoulders below it.
    for _ in range(_STEPS):
        band = inside[top : top + int(half) + 1]
        half = 0.5 * half + 0.5 * share * float(np.percentile(band.sum(axis=1), 75))
    columns = inside[top : top + int(half) + 1].sum(axis=0)
    if half < 4.0 or columns.sum() == 0:
        return None
    middle = float(np.average(np.arange(len(columns)), weights=columns))
    center = (middle - _BEHIND * half * math.sin(math.radians(yaw_deg)), top + _TOP_TO_CENTER * half)
    return HeadCrop(center, half, 0.0)


class HeadDetector:
    """A YOLO head detector as an ONNX file (versions 5 and 8)."""

    def __init__(self, network: Network) -> None:
        self._network = network

    def boxes(self, image: UInt8[np.ndarray, "height width 3"]) -> list[Box]:
        """Heads in the photo, the surest first."""
        entry = self._network.get_inputs()[0]
        size = entry.shape[-1] if isinstance(entry.shape[-1], int) else _YOLO_PX
        pixels, shrink = letterbox(image, size)
        output = np.asarray(self._network.run(None, {entry.name: pixels})[0])
        return [tuple(float(v) * shrink for v in box) for box in decode_yolo(output)]  # type: ignore[misc]


def letterbox(image: UInt8[np.ndarray, "height width 3"], size: int) -> tuple[np.ndarray, float]:
    """The photo in the upper left of a grey square of ``size``, as a network takes it, and by how much it shrank."""
    from PIL import Image

    shrink = max(image.shape[:2]) / size
    small = (max(1, round(image.shape[1] / shrink)), max(1, round(image.shape[0] / shrink)))
    square = np.full((size, size, 3), 114, dtype=np.uint8)
    square[: small[1], : small[0]] = np.asarray(Image.fromarray(image).resize(small, Image.Resampling.BILINEAR))
    return square.transpose(2, 0, 1)[None].astype(np.float32) / 255, shrink


def decode_yolo(output: np.ndarray) -> list[Box]:
    """Boxes from a raw output: version 5 ``[1, N, 5 + classes]`` or version 8 ``[1, 4 + classes, N]``.

    Class 0 is taken for heads. Overlapping boxes are thinned (non-maximum suppression).

    Raises:
        PanoHeadError: for an output of another form.
    """
    table = np.squeeze(output)
    # A square table is a mask's or a heat map's.
    if table.ndim != 2 or min(table.shape) < 5 or table.shape[0] == table.shape[1]:
        raise PanoHeadError(f"the head model's output of shape {output.shape} is not that of YOLO 5 or 8")
    # Exports that thin out themselves give 300 rows of corners, score and class: the class would be read as a score.
    if table.shape == (_SUPPRESSED_ROWS, 6):
        raise PanoHeadError("the head model gives finished boxes; export it without non-maximum suppression")
    version8 = table.shape[0] < table.shape[1]
    rows = table.T if version8 else table
    score = rows[:, 4] if version8 or rows.shape[1] == 5 else rows[:, 4] * rows[:, 5]
    rows, score = rows[score > _CONFIDENT], score[score > _CONFIDENT]
    half = rows[:, 2:4] / 2
    corners = np.concatenate([rows[:, :2] - half, rows[:, :2] + half], axis=1)
    return thin_out(corners[np.argsort(-score, kind="stable")])


def thin_out(corners: Float[np.ndarray, "box 4"]) -> list[Box]:
    """Boxes in order, without those that overlap an earlier one by more than half of their union."""
    kept: list[Box] = []
    for left, top, right, bottom in corners.tolist():
        box: Box = (left, top, right, bottom)
        if all(_overlap(box, other) <= _OVERLAP for other in kept):
            kept.append(box)
    return kept


def _overlap(one: Box, other: Box) -> float:
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    shared = max(0.0, width) * max(0.0, height)
    areas = [(b[2] - b[0]) * (b[3] - b[1]) for b in (one, other)]
    return float(shared / max(sum(areas) - shared, 1e-9))
