"""The small image of a photo in the report: crop box, the head's axes and the background dimmed."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw, ImageFont

from panohead.alignment.angles import turned_upright, view_of_camera
from panohead.alignment.crop import FRAME
from panohead.alignment.head_alignment import Alignment

WIDTH_PX = 320
"""Longer side of the image."""
_AXES = ((0, (230, 60, 60)), (1, (60, 200, 80)), (2, (70, 120, 255)))
"""Red to the head's left, green up, blue along the nose."""
_ACCEPTED_COLOR, _REJECTED_COLOR, _OTHER_COLOR = (255, 220, 0), (255, 60, 60), (170, 170, 170)


def overlay(
    image: UInt8[np.ndarray, "height width 3"],
    alignment: Alignment | None,
    mask: Float[np.ndarray, "rows columns"] | None,
    *,
    accepted: bool,
    heads: Sequence[Alignment] = (),
) -> Image.Image:
    """Draw the crop's box, the head's axes and the mask into the photo, shrunk to 320 pixels.

    Args:
        alignment: None for a photo without head, which is only shrunk.
        mask: mask of the aligned frame, 0 to 1; None leaves the background as it is.
        accepted: True draws the box yellow, False red.
        heads: all heads of the photo in their order, ``alignment`` among them: with several, all are numbered.
    """
    canvas = Image.fromarray(image)
    canvas.thumbnail((WIDTH_PX, WIDTH_PX), Image.Resampling.BILINEAR, reducing_gap=2.0)
    if alignment is None:
        return canvas
    scale = np.array(canvas.size) / np.array([image.shape[1], image.shape[0]])
    if mask is not None:
        canvas = _tint(canvas, alignment, mask, scale)
    draw = ImageDraw.Draw(canvas)
    color = _ACCEPTED_COLOR if accepted else _REJECTED_COLOR
    for number, head in enumerate(heads if len(heads) > 1 else (), 1):
        _box(draw, head, scale, color if head is alignment else _OTHER_COLOR, str(number))
    _box(draw, alignment, scale, color)
    # The camera belongs to the upright crop; the axes are drawn in the photo, where the head is tilted.
    rotation = turned_upright(view_of_camera(alignment.camera), -alignment.crop.angle_deg)
    start = np.array(alignment.crop.center) * scale
    for axis, color in _AXES:
        # The view's y axis points up, the image's down.
        arrow = rotation[:2, axis] * [1.0, -1.0] * alignment.crop.half_px * 0.6 * scale
        draw.line([tuple(start), tuple(start + arrow)], fill=color, width=3)
    return canvas


def _box(
    draw: ImageDraw.ImageDraw, head: Alignment, scale: np.ndarray, color: tuple[int, int, int], number: str = ""
) -> None:
    corners = [tuple(point) for point in head.crop.frame_corners() * scale]
    draw.line([*corners, corners[0]], fill=color, width=2)
    if number:
        # In the photo even where the box's corner is beyond it.
        x, y = (max(4.0, float(v)) for v in np.min(corners, axis=0) + 4)
        draw.text(
            (x, y), number, fill=color, font=ImageFont.load_default(size=18), stroke_width=2, stroke_fill=(0, 0, 0)
        )


def _tint(
    canvas: Image.Image, alignment: Alignment, mask: Float[np.ndarray, "rows columns"], scale: np.ndarray
) -> Image.Image:
    """Dim the background within the frame, by the mask."""
    # The pixel of the mask at every pixel of the small photo: photo, frame, mask; centers at whole numbers throughout.
    columns, rows = np.meshgrid(np.arange(canvas.width), np.arange(canvas.height))
    frame = alignment.crop.to_frame((np.stack([columns, rows], -1) + 0.5) / scale - 0.5)
    places = np.rint((frame + 0.5) * mask.shape[0] / FRAME - 0.5).astype(int)
    inside = ((places >= 0) & (places < mask.shape[0])).all(axis=-1)
    x, y = np.clip(places, 0, mask.shape[0] - 1).transpose(2, 0, 1)
    light = np.where(inside, 0.35 + 0.65 * mask[y, x], 1.0)
    return Image.fromarray(np.rint(np.asarray(canvas) * light[..., None]).astype(np.uint8))
