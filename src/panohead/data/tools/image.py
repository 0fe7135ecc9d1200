"""The histogram of the poses of a dataset, by yaw and pitch, as an image."""

import numpy as np
from jaxtyping import Float, Int
from PIL import Image, ImageDraw, ImageFont

YAW_STEP_DEG, PITCH_STEP_DEG = 10, 10
MAX_PITCH_DEG = 60
_CELL = 26
_LEFT, _TOP, _BARS = 60, 40, 110
_INK, _PAPER = (40, 40, 40), (255, 255, 255)


def pose_table(angles_deg: Float[np.ndarray, "photo 2"]) -> Int[np.ndarray, "pitch yaw"]:
    """Count cameras in cells of 10 x 10 degrees.

    Args:
        angles_deg: yaw and pitch.

    Returns:
        Rows from pitch 60 down to -60 (the outermost hold all beyond), columns from yaw -180 to 180.
    """
    pitch = np.clip(angles_deg[:, 1], -MAX_PITCH_DEG, MAX_PITCH_DEG - 1e-6)
    row = ((MAX_PITCH_DEG - 1e-6 - pitch) // PITCH_STEP_DEG).astype(int)
    column = ((angles_deg[:, 0] + 180.0) // YAW_STEP_DEG).astype(int) % (360 // YAW_STEP_DEG)
    table = np.zeros((2 * MAX_PITCH_DEG // PITCH_STEP_DEG, 360 // YAW_STEP_DEG), dtype=np.int64)
    np.add.at(table, (row, column), 1)
    return table


def pose_image(angles_deg: Float[np.ndarray, "photo 2"]) -> Image.Image:
    """Draw the counts as shades (darker: more, on a square-root scale), and below them the yaw histogram as bars."""
    table = pose_table(angles_deg)
    rows, columns = table.shape
    size = (_LEFT + columns * _CELL + 20, _TOP + rows * _CELL + _BARS + 60)
    image = Image.new("RGB", size, _PAPER)
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(size=12)
    draw.text((_LEFT, 10), f"{len(angles_deg)} cameras: yaw across, pitch up (degrees)", fill=_INK, font=font)
    shade = np.sqrt(table / max(1, int(table.max())))
    for i in range(rows):
        for j in range(columns):
            corner = (_LEFT + j * _CELL, _TOP + i * _CELL)
            color = tuple(int(255 - s * shade[i, j]) for s in (225, 150, 60))
            draw.rectangle((*corner, corner[0] + _CELL - 2, corner[1] + _CELL - 2), fill=color)
        label = str(MAX_PITCH_DEG - (i + 1) * PITCH_STEP_DEG)
        draw.text((_LEFT - 8, _TOP + (i + 1) * _CELL), label, fill=_INK, font=font, anchor="rm")
    bottom = _TOP + rows * _CELL + 20 + _BARS
    bars = table.sum(axis=0)
    for j in range(columns):
        height = _BARS * bars[j] / max(1, int(bars.max()))
        left = _LEFT + j * _CELL
        draw.rectangle((left, bottom - height, left + _CELL - 3, bottom), fill=(30, 105, 195))
        if j % 3 == 0:
            draw.text((left, bottom + 14), str(j * YAW_STEP_DEG - 180), fill=_INK, font=font, anchor="mm")
    return image
