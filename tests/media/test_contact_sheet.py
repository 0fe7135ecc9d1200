"""The grid: every image in its cell, labels in the margins."""

import numpy as np
import pytest
from PIL import Image

from panohead.errors import PanoHeadError
from panohead.media.contact_sheet import contact_sheet

COLORS = [["red", "lime", "blue"], ["cyan", "magenta", "yellow"]]


def plain(color: str, size: tuple[int, int] = (20, 30)) -> Image.Image:
    return Image.new("RGB", size, color)


def test_images_lie_in_rows_and_columns() -> None:
    sheet = contact_sheet([[plain(c) for c in row] for row in COLORS], padding=4)
    assert sheet.size == (4 + 3 * 24, 4 + 2 * 34)
    for i, row in enumerate(COLORS):
        for j, color in enumerate(row):
            box = (4 + 24 * j, 4 + 34 * i, 24 + 24 * j, 34 + 34 * i)
            assert np.array_equal(np.asarray(sheet.crop(box)), np.asarray(plain(color)))
    assert sheet.getpixel((1, 1)) == (255, 255, 255)


def test_holes_and_short_rows_stay_white() -> None:
    sheet = contact_sheet([[plain("red"), None, plain("blue")], [plain("lime")]], padding=0)
    assert sheet.size == (60, 60)
    assert sheet.getpixel((30, 15)) == sheet.getpixel((30, 45)) == (255, 255, 255)
    assert sheet.getpixel((50, 15)) == (0, 0, 255)


def test_images_are_fitted_and_centered() -> None:
    sheet = contact_sheet([[plain("red", (40, 20)), plain("lime", (40, 40))]], cell_size=20, padding=0)
    assert sheet.size == (40, 20)
    assert sheet.getpixel((10, 10)) == (255, 0, 0)
    assert sheet.getpixel((10, 2)) == (255, 255, 255)
    assert sheet.getpixel((30, 2)) == (0, 255, 0)


def test_transparent_images_lie_on_white_and_gray_ones_are_shown() -> None:
    clear = Image.new("RGBA", (8, 8), (255, 0, 0, 0))
    half = Image.new("RGBA", (8, 8), (255, 0, 0, 128))
    sheet = contact_sheet([[clear, half, Image.new("L", (8, 8), 90)]], padding=0)
    assert sheet.getpixel((4, 4)) == (255, 255, 255)
    assert sheet.getpixel((12, 4)) == (255, 127, 127)
    assert sheet.getpixel((20, 4)) == (90, 90, 90)


def test_labels_take_room_and_leave_ink_in_the_margins() -> None:
    images = [[plain(c, (64, 64)) for c in row] for row in COLORS]
    bare = contact_sheet(images)
    labels = {"row_labels": ["seed 0", "seed 123456"], "column_labels": ["0°", "120°", "240°"], "title": "psi 0.7"}
    sheet = contact_sheet(images, **labels)
    left, top = sheet.width - bare.width, sheet.height - bare.height
    assert left > 40
    assert top > 20
    # Below and right of the margins nothing changed.
    assert np.array_equal(np.asarray(sheet)[top + 8 :, left + 8 :], np.asarray(bare)[8:, 8:])
    grey = np.asarray(sheet.convert("L"))
    for row in range(2):
        band = slice(top + 8 + 72 * row, top + 72 + 72 * row)
        assert grey[band, :left].min() < 100
    for column in range(3):
        band = slice(left + 8 + 72 * column, left + 72 + 72 * column)
        assert grey[top // 2 : top + 8, band].min() < 100
    long = contact_sheet([[plain("red")]], title="a title that is much wider than the image")
    assert (np.asarray(long.convert("L"))[:, -4:] == 255).all()


def test_nothing_to_show() -> None:
    with pytest.raises(PanoHeadError, match="at least one image"):
        contact_sheet([[None], []])
