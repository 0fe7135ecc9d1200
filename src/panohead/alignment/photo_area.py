"""The part of a crop that a photo shows: what lies beyond the photo is filled in for looks and is no evidence.

The photo's rectangle is a quadrilateral in the frame of a crop. Its four corners, as shares of the frame's side, are
stored in datasets (``dataset.json``, key ``photo_corners``), so that the part is known at every resolution.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, UInt8
from scipy import ndimage

from panohead.alignment.crop import FRAME, HeadCrop

MIN_HEAD_OUTSIDE = 0.03
"""Share of the head beyond the photo from which users are told."""
_SUPERSAMPLING = 2
_GRID = 141
"""Pixels per side at which the head's share is counted: a quarter of the frame."""
_BAR_LEVELS = 6
"""Largest difference of gray levels within a bar beside the photo."""
_BAR_EDGE_LEVELS, _BAR_EDGE_SHARE = 16, 0.6
"""A bar ends where most of the next row (or column) differs by more than these levels; a plain wall does not."""
_MIN_PHOTO = 0.2
"""Share of a side that bars leave at least: a wide video on an upright telephone fills 0.24 of its screen."""

# The mean outline of the head alone (hair to chin) in the official frame, an ellipse; shares of the frame's side. By
# the masks of 434 synthetic heads with a pitch below 20 degrees.
_HEAD_MIDDLE_Y, _HEAD_HALF_HEIGHT = 0.46, 0.39
_HEAD_HALF_WIDTH, _HEAD_WIDER_ASIDE = 0.33, 0.05
_HEAD_SHIFT_ASIDE = 0.045

PhotoCorners = Float[np.ndarray, "4 2"]
"""Upper left, lower left, lower right and upper right corner of a photo in a crop's frame, shares of its side."""


@dataclass(frozen=True)
class PhotoArea:
    """The rectangle of the pixels that were photographed, without the bars that editors add.

    Attributes:
        left, top, right, bottom: pixels; right and bottom are the first ones beyond.
    """

    left: int
    top: int
    right: int
    bottom: int

    def corners(self, crop: HeadCrop) -> PhotoCorners:
        """Return the rectangle in the frame of a crop."""
        x, y = np.array([self.left, self.right]) - 0.5, np.array([self.top, self.bottom]) - 0.5
        outer = np.array([[x[0], y[0]], [x[0], y[1]], [x[1], y[1]], [x[1], y[0]]])
        return (crop.to_frame(outer) + 0.5) / FRAME

    def part(self, image: UInt8[np.ndarray, "height width channel"]) -> UInt8[np.ndarray, "rows columns channel"]:
        """Return the pixels of the rectangle."""
        return image[self.top : self.bottom, self.left : self.right]

    def share_of(self, points: Float[np.ndarray, "point 2"]) -> float:
        """Return the share of points (pixels) that lie in the rectangle."""
        low, high = np.array([self.left, self.top]) - 0.5, np.array([self.right, self.bottom]) - 0.5
        return float(((points > low) & (points < high)).all(axis=1).mean())

    def crop_in(self, crop: HeadCrop) -> HeadCrop:
        """Return the same crop in the pixels of :meth:`part`."""
        return HeadCrop((crop.center[0] - self.left, crop.center[1] - self.top), crop.half_px, crop.angle_deg)


def photo_area(image: UInt8[np.ndarray, "height width 3"]) -> PhotoArea:
    """Return the photographed rectangle of an image: all of it, but for bars of one color along whole sides."""
    height, width = image.shape[:2]
    top, bottom = _bar(image), _bar(image[::-1])
    left, right = _bar(image.swapaxes(0, 1)), _bar(image[:, ::-1].swapaxes(0, 1))
    # Bars that leave less of a side than this are no bars around a photo, but an image of one color.
    if top + bottom > (1 - _MIN_PHOTO) * height or left + right > (1 - _MIN_PHOTO) * width:
        return PhotoArea(0, 0, width, height)
    return PhotoArea(left, top, width - right, height - bottom)


def _bar(image: UInt8[np.ndarray, "row column 3"]) -> int:
    """Return the number of rows of a bar at the upper side; 0 where the photo begins."""
    first = image[0].astype(np.int16)
    color = first[0]
    rows = 0
    for row in image:
        if np.abs(row.astype(np.int16) - color).max() > _BAR_LEVELS:
            break
        rows += 1
    if rows in (0, len(image)):
        return 0
    # Sky and walls are of one color too, but the photo continues in it.
    differs = np.abs(image[rows].astype(np.int16) - color).max(axis=-1) > _BAR_EDGE_LEVELS
    return rows if differs.mean() >= _BAR_EDGE_SHARE else 0


def inside_photo(corners: PhotoCorners, size: int) -> Float[np.ndarray, "size size"]:
    """Return the share of every pixel of a frame of ``size`` pixels that lies in the photo, 0 to 1."""
    # Places of the samples in shares of the side, several in every pixel; y down.
    ends = (np.arange(size * _SUPERSAMPLING) + 0.5) / (size * _SUPERSAMPLING)
    x, y = ends[None], ends[:, None]
    inside: Bool[np.ndarray, "samples samples"] = np.ones((len(ends), len(ends)), dtype=bool)
    for (x0, y0), (x1, y1) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        # The corners go around counter-clockwise in the image: the inside is to the left of every side.
        inside &= (x1 - x0) * (y - y0) - (y1 - y0) * (x - x0) <= 0
    blocks = inside.reshape(size, _SUPERSAMPLING, size, _SUPERSAMPLING)
    share: np.ndarray = blocks.mean(axis=(1, 3))
    return share


@dataclass(frozen=True)
class HeadOutside:
    """The share of a head that its photo does not show, and the sides of the crop on which it lies."""

    share: float
    sides: tuple[str, ...]

    @property
    def is_much(self) -> bool:
        """True from 3 % on."""
        return self.share >= MIN_HEAD_OUTSIDE

    def __str__(self) -> str:
        return f"{self.share:.0%} of the head lies outside the photo ({', '.join(self.sides)})"


def head_outside(
    inside: Float[np.ndarray, "size size"], yaw_deg: float, mask: Float[np.ndarray, "size size"] | None = None
) -> HeadOutside:
    """Estimate the share of the head beyond the photo, by the mean outline of heads in the frame.

    Args:
        inside: result of :func:`inside_photo`.
        yaw_deg: yaw of the camera.
        mask: mask of the crop, 0 to 1: where background is at the photo's edge, no head continues beyond it.
    """
    places = (np.arange(_GRID) + 0.5) / _GRID
    pick = (places * len(inside)).astype(int)
    beyond = inside[np.ix_(pick, pick)] < 0.5
    aside = np.sin(np.radians(yaw_deg))
    half_width = _HEAD_HALF_WIDTH + _HEAD_WIDER_ASIDE * abs(aside)
    x, y = (places - 0.5 - _HEAD_SHIFT_ASIDE * aside) / half_width, (places - _HEAD_MIDDLE_Y) / _HEAD_HALF_HEIGHT
    head = x[None] ** 2 + y[:, None] ** 2 < 1
    missing = head & beyond
    if beyond.all() or not missing.any():
        share = float(missing.sum() / head.sum())
        return HeadOutside(share, ("all sides",) if share else ())
    # The nearest pixel of the photo of every pixel beyond it: row and column.
    rows, columns = ndimage.distance_transform_edt(beyond, return_distances=False, return_indices=True)
    if mask is not None:
        # Pixels on the edge lie half in the photo, and so does the mask in them.
        person = mask[np.ix_(pick, pick)] > 0.5 * np.maximum(inside[np.ix_(pick, pick)], 0.5)
        missing &= person[rows, columns]
    here = np.arange(_GRID)
    across, down = here[None] - columns, here[:, None] - rows
    sides = {
        "left": missing & (across < -np.abs(down)),
        "right": missing & (across > np.abs(down)),
        "top": missing & (down <= -np.abs(across)),
        "bottom": missing & (down >= np.abs(across)),
    }
    named = tuple(side for side, part in sides.items() if part.sum() >= 0.01 * head.sum())
    return HeadOutside(float(missing.sum() / head.sum()), named or ("edge",))
