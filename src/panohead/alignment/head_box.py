"""Crops of heads without visible face: by a box (a detector's or the user's) or by the outline of the person."""

import math

import numpy as np
from jaxtyping import Float, UInt8
from scipy import ndimage

from panohead.alignment.body_pose import BodyPose
from panohead.alignment.crop import HeadCrop, cut_window
from panohead.alignment.face_landmarks import shrunk
from panohead.alignment.person_mask import PersonMasker
from panohead.alignment.pose_network import Network
from panohead.errors import PanoHeadError

Box = tuple[float, float, float, float]
"""Left, top, right, bottom in pixels."""

BOX_TO_CORE = 0.99
"""Height of a head, hair to chin, in sides of the official crop's core."""
CENTER_BELOW_BOX = 54.0 / 511.0
"""Distance of the crop's center below the middle of the box, in sides of the core."""
_MIN_SCORE = 0.3
_MAX_OVERLAP = 0.5
"""Intersection over union above which two boxes are one head."""
_YOLO_PX = 640
"""Side of the input where the file leaves it open."""
_SUPPRESSED_ROWS = 300
"""Rows of an output on which non-maximum suppression was done already."""
_HALF_OF_WIDTH_FRONT, _HALF_OF_WIDTH_SIDE = 0.65, 0.585
"""Half the core's side, in widths of the head above the ears, of frontal and of side views."""
_TOP_TO_CENTER = 0.955
"""Distance of the crop's center below the top of the head, in halves of the core's side."""
_BEHIND = 0.10
"""Distance of the outline's middle behind the crop's center in a side view, in halves of the core's side."""
_OUTLINE_PX = 768
"""Longer side of the photo in which the person's outline is searched."""
_OUTLINE_WINDOWS, _OUTLINE_WINDOW_PX = (2.5, 1.75, 3.5), 512
"""Halves of the sides of windows for a body's outline, in distances from its ears to the shoulders; and their pixels.
In some of them the network takes furniture for a part of the person."""
_NECK = (0.35, 1.15)
"""Distance from ears to shoulders in sides of the crop's core (0.6 to 0.8 in synthetic profiles): others' outlines."""
_EARS_AWAY = 0.35
"""Distance of the ears from the crop's center, in sides of its core, from which the outline is another's."""
_MIN_HALF_PX = 4.0
_STEPS = 40


def crop_of_box(box: Box, roll_deg: float = 0.0) -> HeadCrop:
    """Return the crop of a head with this bounding box; the proportions are those of official crops of frontal heads.

    Args:
        box: hair to chin, pixels.
        roll_deg: clockwise tilt of the head in the photo.
    """
    left, top, right, bottom = box
    half = (bottom - top) / BOX_TO_CORE / 2
    # The offset below the box turns with the head.
    turn, down = math.radians(roll_deg), CENTER_BELOW_BOX * 2 * half
    center = ((left + right) / 2 - down * math.sin(turn), (top + bottom) / 2 + down * math.cos(turn))
    return HeadCrop(center, half, roll_deg)


def crop_of_outline(mask: Float[np.ndarray, "height width"], yaw_deg: float) -> HeadCrop | None:
    """Return the crop of the topmost head in a person's mask (0 to 1); None without a person.

    The head's width above the ears gives the size: measured on synthetic heads of all hair styles the half-size has a
    standard deviation of 5 % from the side and 13 % from front and back.
    """
    inside = mask > 0.5
    # Rows with a few stray pixels do not begin a head.
    rows = np.flatnonzero(inside.sum(axis=1) > 0.01 * inside.shape[1])
    if len(rows) == 0:
        return None
    top = int(rows[0])
    sideways = abs(math.sin(math.radians(yaw_deg)))
    share = _HALF_OF_WIDTH_FRONT + (_HALF_OF_WIDTH_SIDE - _HALF_OF_WIDTH_FRONT) * sideways
    half = max(_MIN_HALF_PX, 0.02 * len(rows))
    # From a small start the fixed point is the head, not the shoulders below it.
    for _ in range(_STEPS):
        band = inside[top : top + int(half) + 1]
        # The upper quartile of the rows' widths: the crown is narrower, loose hair wider.
        half = 0.5 * half + 0.5 * share * float(np.percentile(band.sum(axis=1), 75))
    columns = inside[top : top + int(half) + 1].sum(axis=0)
    if half < _MIN_HALF_PX or columns.sum() == 0:
        return None
    # The center of mass of the head's columns, moved from the hair towards the face in side views.
    middle = float(np.average(np.arange(len(columns)), weights=columns))
    center = (middle - _BEHIND * half * math.sin(math.radians(yaw_deg)), top + _TOP_TO_CENTER * half)
    return HeadCrop(center, half, 0.0)


def piece_nearest_middle(mask: Float[np.ndarray, "height width"]) -> Float[np.ndarray, "height width"]:
    """Return a person's mask (0 to 1) without the pieces that do not hold its person pixel nearest to the middle."""
    inside = mask > 0.5
    if not inside.any():
        return mask
    middle = (mask.shape[0] // 2, mask.shape[1] // 2)
    # Row and column of the nearest person pixel of every pixel.
    nearest = ndimage.distance_transform_edt(~inside, return_distances=False, return_indices=True)
    pieces, _ = ndimage.label(inside)
    return np.where(pieces == pieces[tuple(axis[middle] for axis in nearest)], mask, 0.0)


def outline(image: UInt8[np.ndarray, "height width 3"], masker: PersonMasker, yaw_deg: float) -> HeadCrop | None:
    """Return the crop of the person's topmost head by the mask of the whole photo; None without a person."""
    shrink = max(1.0, max(image.shape[:2]) / _OUTLINE_PX)
    crop = crop_of_outline(masker.mask(shrunk(image, shrink)), yaw_deg)
    if crop is None:
        return None
    return HeadCrop((crop.center[0] * shrink, crop.center[1] * shrink), crop.half_px * shrink, crop.angle_deg)


def outline_of_body(
    image: UInt8[np.ndarray, "height width 3"], body: BodyPose, masker: PersonMasker
) -> HeadCrop | None:
    """Return the crop of the head by the mask around the body's landmarks; None where the two contradict each other.

    The mask of a whole photo has pieces of furniture in it, and the head is not the topmost piece.
    """
    if body.neck_px < 1.0:
        return None
    for sides in _OUTLINE_WINDOWS:
        window = HeadCrop(body.ears, sides * body.neck_px, 0.0)
        mask = masker.mask(cut_window(image, window, _OUTLINE_WINDOW_PX, beyond=0))
        found = crop_of_outline(piece_nearest_middle(mask), body.yaw_deg)
        if found is None:
            continue
        half = (_OUTLINE_WINDOW_PX - 1) / 2
        x, y = window.points(np.array([found.center]) / half - 1)[0]
        crop = HeadCrop((float(x), float(y)), found.half_px * window.half_px / half, 0.0)
        core_px = 2 * crop.half_px
        away_px = math.hypot(crop.center[0] - body.ears[0], crop.center[1] - body.ears[1])
        if _NECK[0] <= body.neck_px / core_px <= _NECK[1] and away_px <= _EARS_AWAY * core_px:
            return crop
    return None


class HeadDetector:
    """A YOLO head detector as an ONNX file (versions 5 and 8)."""

    def __init__(self, network: Network) -> None:
        self._network = network

    def boxes(self, image: UInt8[np.ndarray, "height width 3"]) -> list[Box]:
        """Return the boxes of the heads in the photo, in its pixels, the surest first."""
        entry = self._network.get_inputs()[0]
        size = entry.shape[-1] if isinstance(entry.shape[-1], int) else _YOLO_PX
        pixels, shrink = letterbox(image, size)
        output = np.asarray(self._network.run(None, {entry.name: pixels})[0])
        return [tuple(float(v) * shrink for v in box) for box in decode_yolo(output)]  # type: ignore[misc]


def letterbox(image: UInt8[np.ndarray, "height width 3"], size: int) -> tuple[np.ndarray, float]:
    """Return the photo in the upper left of a gray square of ``size`` pixels (0 to 1), and the factor it shrank by."""
    from PIL import Image

    shrink = max(image.shape[:2]) / size
    small = (max(1, round(image.shape[1] / shrink)), max(1, round(image.shape[0] / shrink)))
    square = np.full((size, size, 3), 114, dtype=np.uint8)
    square[: small[1], : small[0]] = np.asarray(Image.fromarray(image).resize(small, Image.Resampling.BILINEAR))
    # 1 3 size size
    return square.transpose(2, 0, 1)[None].astype(np.float32) / 255, shrink


def decode_yolo(output: np.ndarray) -> list[Box]:
    """Return the boxes of a raw output: version 5 ``[1, N, 5 + classes]`` or version 8 ``[1, 4 + classes, N]``.

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
    # Version 5 multiplies the score of an object (column 4) by that of its class (column 5).
    score = rows[:, 4] if version8 or rows.shape[1] == 5 else rows[:, 4] * rows[:, 5]
    rows, score = rows[score > _MIN_SCORE], score[score > _MIN_SCORE]
    # Center and size to left, top, right, bottom.
    half = rows[:, 2:4] / 2
    corners = np.concatenate([rows[:, :2] - half, rows[:, :2] + half], axis=1)
    return thin_out(corners[np.argsort(-score, kind="stable")])


def thin_out(corners: Float[np.ndarray, "box 4"]) -> list[Box]:
    """Return the boxes in order, without those whose intersection with an earlier one is over half of their union."""
    kept: list[Box] = []
    for left, top, right, bottom in corners.tolist():
        box: Box = (left, top, right, bottom)
        if all(_overlap(box, other) <= _MAX_OVERLAP for other in kept):
            kept.append(box)
    return kept


def _overlap(one: Box, other: Box) -> float:
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    shared = max(0.0, width) * max(0.0, height)
    areas = [(b[2] - b[0]) * (b[3] - b[1]) for b in (one, other)]
    return float(shared / max(sum(areas) - shared, 1e-9))
