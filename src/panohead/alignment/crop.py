"""The official crop: its place in the photo, and cutting it out (docs/reference.md 6.4).

Coordinates are pixels, x right, y down, whole numbers at the centers of pixels. A *core* of 512 pixels lies around
the head; the *frame* adds 10 % above and 5 % on either side: 563 pixels. The camera's label belongs to the frame.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from scipy import ndimage
from torch import Tensor

CORE = 512
"""Side of the core in pixels."""
FRAME = 563
"""Side of the frame in pixels: 512 * 1.1, rounded."""
CORE_LEFT, CORE_TOP = 25, 51
"""Place of the core in the frame: 5 % from the left, 10 % from above."""
MIN_CORE_PX = 256.0
"""Side of the core in the photo below which the original drops it."""
_SUPERSAMPLING = 2
_BORDER_BLUR, _VALIDITY_BLUR = 31, 21
"""Sides in pixels of the box filters of what lies outside the photo, and of the transition to it."""
_COARSEST_STEP = 4.0
"""Source pixels per sample above which the source is averaged first, against aliasing."""


@dataclass(frozen=True)
class HeadCrop:
    """A square in the photo, possibly turned.

    Attributes:
        center: middle of the core, pixels.
        half_px: half the core's side, pixels.
        angle_deg: clockwise rotation of the square in degrees; the head's tilt in the photo.
    """

    center: tuple[float, float]
    half_px: float
    angle_deg: float

    def core_corners(self) -> Float[np.ndarray, "4 2"]:
        """Return the corners of the core in the photo: upper left, lower left, lower right, upper right."""
        return self.points(np.array([[-1.0, -1.0], [-1.0, 1.0], [1.0, 1.0], [1.0, -1.0]]))

    def frame_corners(self) -> Float[np.ndarray, "4 2"]:
        """Return the corners of the whole frame (outer edges of its pixels), in the order of the core's."""
        ends = np.array([[0, 0], [0, FRAME], [FRAME, FRAME], [FRAME, 0]]) - 0.5
        return self.points(frame_to_core(ends))

    def points(self, core: Float[np.ndarray, "*point 2"]) -> Float[np.ndarray, "*point 2"]:
        """Transform core coordinates (-1 to 1, x right, y down) to the photo's pixels."""
        across, down = self._axes()
        return np.array(self.center) + core[..., :1] * across + core[..., 1:] * down

    def to_frame(self, photo: Float[np.ndarray, "*point 2"]) -> Float[np.ndarray, "*point 2"]:
        """Transform the photo's pixels to the frame's; the inverse of ``points(frame_to_core(...))``."""
        across, down = self._axes()
        # The axes are orthogonal and half_px long, so the inverse of their matrix is its transpose over half_px^2.
        core = (photo - np.array(self.center)) @ np.stack([across, down], -1) / self.half_px**2
        middle = np.array([CORE_LEFT, CORE_TOP]) + (CORE - 1) / 2
        return core * (CORE - 1) / 2 + middle

    def _axes(self) -> tuple[np.ndarray, np.ndarray]:
        turn = np.radians(self.angle_deg)
        across = self.half_px * np.array([np.cos(turn), np.sin(turn)])
        return across, np.array([-across[1], across[0]])

    @staticmethod
    def from_corners(corners: Float[np.ndarray, "4 2"]) -> "HeadCrop":
        """Return the square with these core corners (in the order of :meth:`core_corners`)."""
        across = (corners[3] - corners[0]) / 2
        center = corners.mean(axis=0)
        return HeadCrop(
            (float(center[0]), float(center[1])),
            float(np.hypot(*across)),
            float(np.degrees(np.arctan2(across[1], across[0]))),
        )


def crop_of_landmarks(
    right_eye: Float[np.ndarray, "point 2"], left_eye: Float[np.ndarray, "point 2"], mouth: Float[np.ndarray, "2 2"]
) -> HeadCrop:
    """Return the FFHQ crop around eyes and mouth, from which the original starts (docs/reference.md 6.4).

    Args:
        right_eye, left_eye: contours of the eyes at the viewer's left and right, pixels.
        mouth: corners of the mouth, pixels.
    """
    first, second = right_eye.mean(axis=0), left_eye.mean(axis=0)
    eyes, middle = second - first, (first + second) / 2
    down = mouth.mean(axis=0) - middle
    # FFHQ's rule: x axis along the eyes, steadied by the perpendicular of eyes-to-mouth; center 0.1 below the eyes.
    across = eyes + np.array([down[1], -down[0]])
    center = middle + 0.1 * down
    # Half the side: twice the distance of the eyes or 1.8 times that of eyes and mouth, whichever is larger.
    half = max(2.0 * float(np.hypot(*eyes)), 1.8 * float(np.hypot(*down)))
    angle = float(np.degrees(np.arctan2(across[1], across[0])))
    return HeadCrop((float(center[0]), float(center[1])), half, angle)


def frame_to_core(pixels: Float[np.ndarray, "*point 2"]) -> Float[np.ndarray, "*point 2"]:
    """Transform pixels of the 563 frame to core coordinates (-1 to 1)."""
    middle = np.array([CORE_LEFT, CORE_TOP]) + (CORE - 1) / 2
    return (pixels - middle) * 2 / (CORE - 1)


def cut_frame(image: UInt8[np.ndarray, "height width channel"], crop: HeadCrop) -> UInt8[np.ndarray, "563 563 channel"]:
    """Cut the official frame: sampled at twice its size, averaged; outside the photo its mirror image, blurred.

    The mirror image keeps the frame from having a hard edge; the blur keeps the mirrored face from looking like one.
    """
    # Samples at whole and half pixels of the frame, 1126 in a row; pairs are averaged below.
    ends = np.arange(FRAME * _SUPERSAMPLING) / _SUPERSAMPLING
    where = _grid(crop, frame_to_core(np.stack([ends, ends], -1)))  # 1126 1126 2
    # The core's side in the photo is 2 half_px: so many source pixels lie between two samples.
    large = sample(image, where, crop.half_px * 2 / CORE / _SUPERSAMPLING)
    frame = np.rint(_halve(large))  # 563 563 channel
    # The four corners tell whether any of the frame is outside: a photo is convex.
    if not is_inside(where[[0, 0, -1, -1], [0, -1, 0, -1]], image.shape).all():
        inside = is_inside(where, image.shape)[..., None].astype(np.float32)
        frame = _blur_outside(frame, _halve(inside))
    return np.clip(np.rint(frame), 0, 255).astype(np.uint8)


def cut_window(
    image: UInt8[np.ndarray, "height width channel"],
    crop: HeadCrop,
    size: int,
    *,
    beyond: int | Literal["edge"] | None = None,
) -> UInt8[np.ndarray, "size size channel"]:
    """Cut the core alone at ``size`` pixels, bilinear without supersampling: the input of detectors.

    Args:
        beyond: gray level of what lies outside the photo; "edge" continues the pixels at the photo's edge; None is the
            photo's mirror image, in which a detector finds a second head, or the missing half of a face.
    """
    ends = np.linspace(-1, 1, size)
    # size size 2
    where = _grid(crop, np.stack([ends, ends], -1))
    if beyond == "edge":
        where = np.clip(where, 0, np.array([image.shape[1] - 1, image.shape[0] - 1], dtype=where.dtype))
    window = np.clip(np.rint(sample(image, where, crop.half_px * 2 / size)), 0, 255).astype(np.uint8)
    if isinstance(beyond, int):
        window[~is_inside(where, image.shape)] = beyond
    return window


def _grid(crop: HeadCrop, ends: Float[np.ndarray, "end 2"]) -> Float[np.ndarray, "end end 2"]:
    """Return the photo's points at a grid of core coordinates: x from the first column of ``ends``, y the second."""
    across, down = crop._axes()
    left = np.array(crop.center) + ends[:, :1] * across  # end 2
    # Outer sum of the points of a row and the shifts of the rows: rows columns 2.
    return left.astype(np.float32) + (ends[:, 1:] * down).astype(np.float32)[:, None]


def sample(
    image: UInt8[np.ndarray, "height width channel"], where: Float[np.ndarray, "rows columns 2"], step_px: float
) -> Float[np.ndarray, "rows columns channel"]:
    """Sample an image bilinearly at pixel coordinates, mirrored beyond its edges.

    Args:
        step_px: distance of adjacent samples in source pixels; for large ones the image is averaged over blocks first.
    """
    part, corner = _part(image, where)
    # Blocks of half a step keep at least two source values for every sample.
    block = int(step_px / _COARSEST_STEP * 2) if step_px >= _COARSEST_STEP else 1
    part = _block_mean(part, block)
    # Pixels to grid_sample's -1 to 1, which are the outer edges of the part (align_corners=False), in one step.
    size = block * np.array([part.shape[1], part.shape[0]]) / 2
    grid = torch.from_numpy(((where - (corner - 0.5 + size)) * (1 / size)).astype(np.float32, copy=False))
    # A copy: arrays from Pillow are read-only, which torch does not know.
    pixels = torch.from_numpy(np.array(part)).permute(2, 0, 1).float()  # channel height width
    found = torch.nn.functional.grid_sample(
        pixels[None], grid[None], mode="bilinear", padding_mode="reflection", align_corners=False
    )
    return found[0].permute(1, 2, 0).numpy()


def _part(image: np.ndarray, where: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the photo's rectangle that the samples touch, mirrored ones included, and its upper left corner."""
    size = np.array([image.shape[1], image.shape[0]])
    # Axis by axis: a minimum over both at once is several times slower.
    low = np.floor([where[..., 0].min(), where[..., 1].min()]) - 2
    high = np.ceil([where[..., 0].max(), where[..., 1].max()]) + 3
    # A sample d pixels outside takes the value d pixels inside.
    first, last = np.minimum(low, 2 * size - high), np.maximum(high, -low)
    first, last = np.maximum(first, 0), np.minimum(last, size)
    if (low < -size).any() or (high > 2 * size).any():
        first, last = np.zeros(2), size.astype(np.float64)
    left, top, right, bottom = (int(v) for v in (*first, *last))
    return image[top:bottom, left:right], first


def _block_mean(image: np.ndarray, block: int) -> np.ndarray:
    if block <= 1:
        return image
    # Rows that do not fill a block repeat the last one, so that nothing is shifted.
    height, width = image.shape[:2]
    padded = np.pad(image, ((0, -height % block), (0, -width % block), (0, 0)), mode="edge")
    # rows block columns block channel
    blocks = padded.reshape(padded.shape[0] // block, block, padded.shape[1] // block, block, -1)
    # rows columns channel
    return blocks.mean(axis=(1, 3), dtype=np.float32)


def _halve(image: np.ndarray) -> np.ndarray:
    half: Tensor = torch.nn.functional.avg_pool2d(torch.from_numpy(image).permute(2, 0, 1)[None], _SUPERSAMPLING)
    return half[0].permute(1, 2, 0).numpy()


def is_inside(where: Float[np.ndarray, "*point 2"], shape: tuple[int, ...]) -> Bool[np.ndarray, "*point"]:
    """Return for points (pixels) whether they lie in an image of this shape (height, width, ...)."""
    x, y = where[..., 0], where[..., 1]
    return (x > -0.5) & (y > -0.5) & (x < shape[1] - 0.5) & (y < shape[0] - 0.5)


def _blur_outside(frame: np.ndarray, valid: np.ndarray) -> np.ndarray:
    # The share of the photo in a window around each pixel is the weight of the sharp frame.
    soft = ndimage.uniform_filter(valid[..., 0], _VALIDITY_BLUR, mode="mirror")[..., None]
    blurred = np.stack([ndimage.uniform_filter(c, _BORDER_BLUR, mode="mirror") for c in np.moveaxis(frame, -1, 0)], -1)
    mixed: np.ndarray = frame * soft + blurred * (1 - soft)
    return mixed
