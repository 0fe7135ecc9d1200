"""Head boxes: detectors, outlines and the crop of a box."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from panohead.alignment.angles import (
    view_of_orbit,
)
from panohead.alignment.body_pose import LEFT_EAR, NOSE, RIGHT_EAR
from panohead.alignment.head_box import (
    HeadDetector,
    crop_of_box,
    crop_of_outline,
    decode_yolo,
    letterbox,
    piece_nearest_middle,
)
from panohead.errors import PanoHeadError


class FakeNetwork:
    """Answers every image alike and keeps its input."""

    def __init__(self, shape: list[Any], *outputs: np.ndarray) -> None:
        self.shape, self.outputs, self.received = shape, outputs, np.zeros(0)

    def get_inputs(self) -> list[Any]:
        return [SimpleNamespace(name="input", shape=self.shape)]

    def run(self, _names: Any, feed: dict[str, np.ndarray]) -> list[np.ndarray]:
        self.received = feed["input"]
        return list(self.outputs)


def body(yaw: float) -> np.ndarray:
    head = np.zeros((33, 3))
    head[NOSE], head[LEFT_EAR], head[RIGHT_EAR] = (0, 0, 10), (7, 0, 0), (-7, 0, 0)
    view = head @ view_of_orbit(yaw, 0.0, 0.0).T
    return np.concatenate([view * [1, -1, -1] + [200, 200, 0], np.ones((33, 1))], axis=1)


def test_yolo_boxes_of_both_versions() -> None:
    boxes = np.array([[100, 100, 40, 60, 0.9], [102, 101, 40, 60, 0.8], [300, 200, 20, 20, 0.7], [9, 9, 4, 4, 0.1]])
    filler = np.zeros((40, 5))
    version5 = np.concatenate([np.concatenate([boxes, filler]), np.ones((44, 1))], axis=1)[None]
    version8 = np.concatenate([boxes, filler]).T[None]
    expected = [(80, 70, 120, 130), (290, 190, 310, 210)]
    np.testing.assert_allclose(decode_yolo(version5), expected)
    np.testing.assert_allclose(decode_yolo(version8), expected)
    with pytest.raises(PanoHeadError, match="YOLO"):
        decode_yolo(np.zeros((1, 2)))


def test_head_detector_scales_back() -> None:
    pixels, shrink = letterbox(np.zeros((300, 1280, 3), dtype=np.uint8), 640)
    assert pixels.shape == (1, 3, 640, 640)
    assert shrink == 2.0
    table = np.concatenate([[[100, 100, 40, 60, 0.9]], np.zeros((40, 5))]).T[None]
    found = HeadDetector(FakeNetwork([1, 3, 640, 640], table)).boxes(np.zeros((300, 1280, 3), dtype=np.uint8))
    np.testing.assert_allclose(found, [(160, 140, 240, 260)])


def test_crop_of_a_box_follows_the_measured_frame() -> None:
    """A head in official crops is, from hair to chin, 0.99 of the core high, its middle 54 of 511 above the center."""
    crop = crop_of_box((100.0, 50.0, 300.0, 250.0))
    assert 2 * crop.half_px * 0.99 == pytest.approx(200.0)
    np.testing.assert_allclose(crop.center, (200.0, 150.0 + 54 / 511 * 2 * crop.half_px))
    tilted = crop_of_box((100.0, 50.0, 300.0, 250.0), 90.0)
    np.testing.assert_allclose(tilted.center, (200.0 - 54 / 511 * 2 * crop.half_px, 150.0), atol=1e-9)


def test_outline_finds_the_head_above_the_shoulders() -> None:
    y, x = np.mgrid[0:600, 0:400].astype(float)
    head = ((x - 210) / 62) ** 2 + ((y - 120) / 80) ** 2 < 1
    body = (np.abs(x - 210) < 150) & (y > 230)
    neck = (np.abs(x - 210) < 30) & (y > 150)
    crop = crop_of_outline((head | body | neck).astype(float), 180.0)
    assert crop is not None
    assert crop.center[0] == pytest.approx(210, abs=5)
    assert crop.half_px == pytest.approx(80, rel=0.15)
    assert crop.center[1] == pytest.approx(120, abs=20)
    assert crop_of_outline(np.zeros((50, 50)), 0.0) is None


def test_of_several_pieces_the_one_nearest_the_middle_is_the_person() -> None:
    mask = np.zeros((40, 60))
    mask[2:6, 2:50] = 1.0
    mask[12:17, 20:28] = 0.8
    person = np.zeros((40, 60))
    person[12:17, 20:28] = 0.8
    np.testing.assert_array_equal(piece_nearest_middle(mask), person)
    assert not piece_nearest_middle(np.zeros((5, 7))).any()
