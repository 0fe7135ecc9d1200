"""The yaw from the landmarks of a body, and what counts when several readings of one differ."""

import numpy as np
import pytest

from panohead.alignment.angles import (
    view_of_orbit,
)
from panohead.alignment.body_pose import (
    LEFT_EAR,
    LEFT_SHOULDER,
    NOSE,
    RIGHT_EAR,
    RIGHT_SHOULDER,
    BodyReading,
    agreed_pose,
    body_contradicts,
    read_body,
    read_body_again,
    yaw_of_body,
)
from panohead.alignment.crop import HeadCrop


def body(yaw: float) -> np.ndarray:
    head = np.zeros((33, 3))
    head[NOSE], head[LEFT_EAR], head[RIGHT_EAR] = (0, 0, 10), (7, 0, 0), (-7, 0, 0)
    view = head @ view_of_orbit(yaw, 0.0, 0.0).T
    return np.concatenate([view * [1, -1, -1] + [200, 200, 0], np.ones((33, 1))], axis=1)


@pytest.mark.parametrize("yaw", [-150.0, -80.0, 70.0, 120.0])
def test_body_landmarks_give_the_yaw(yaw: float) -> None:
    assert yaw_of_body(body(yaw)) == pytest.approx(yaw, abs=1e-6)


def test_without_a_face_the_front_is_the_back() -> None:
    assert abs(yaw_of_body(body(0.0))) == pytest.approx(180.0)
    assert yaw_of_body(body(20.0)) == pytest.approx(160.0)
    assert yaw_of_body(body(20.0), face_found=True) == pytest.approx(20.0)


def readings(*yaws: float, neck_px: float = 60.0) -> list[BodyReading]:
    return [BodyReading(yaw, (100.0, 50.0), neck_px) for yaw in yaws]


@pytest.mark.parametrize(
    ("yaws", "yaw", "disagreement"),
    [
        ([90, 80], 85, 10),
        ([90, 130], 110, 40),
        ([170, -170], 180, 20),
        ([80], 80, 180),
        ([80, -80], 0, 160),
        ([-120, 141, 74, 70, 81, 76], 75.2, 11),
        ([10, 60, 120, 170], None, 160),
    ],
)
def test_what_most_readings_say_counts(yaws: list[float], yaw: float | None, disagreement: float) -> None:
    found = agreed_pose(readings(*yaws))
    assert found is not None
    if yaw is not None:
        assert abs((found.yaw_deg - yaw + 180) % 360 - 180) < 0.1
    assert found.disagreement_deg == pytest.approx(disagreement)


def test_landmarks_that_have_shrunk_do_not_count() -> None:
    found = agreed_pose([*readings(-120, -125, -130, neck_px=10.0), *readings(80, 85)])
    assert found is not None
    assert found.yaw_deg == pytest.approx(82.5)
    assert agreed_pose([]) is None


class Photographed:
    """A person in a photo of 400 x 300 pixels, ears at (120, 90), found where an image shows enough of them."""

    def __init__(self) -> None:
        self.sizes: list[tuple[int, ...]] = []

    def body(self, image: np.ndarray) -> np.ndarray | None:
        self.sizes.append(image.shape)
        found = np.ones((33, 4))
        columns = np.flatnonzero(image[..., 0].max(axis=0) == 255)
        rows = np.flatnonzero(image[..., 0].max(axis=1) == 255)
        if len(columns) < 2 or len(rows) < 2:
            return None
        # Ears are the upper end of a white bar, the shoulders its lower end; it is brighter behind the head.
        x, top, bottom = columns.mean(), rows[0], rows[-1]
        side = -1 if image[..., 1].max(axis=0).argmax() < x else 1
        found[[NOSE, LEFT_EAR, RIGHT_EAR], :3] = [[x - 10 * side, top, 0], [x, top, -7 * side], [x, top, 7 * side]]
        found[[LEFT_SHOULDER, RIGHT_SHOULDER], :2] = (x, bottom)
        return found


def photographed() -> np.ndarray:
    photo = np.zeros((300, 400, 3), dtype=np.uint8)
    photo[90:151, 118:123, 0] = 255
    photo[90:151, 100, 1] = 200
    return photo


def test_readings_of_windows_and_mirror_images_are_in_the_photo() -> None:
    photo, detector = photographed(), Photographed()
    first = read_body(photo, detector)
    again = read_body_again(photo, first, detector)
    assert len(first) == 2
    assert len(again) == 4
    assert set(detector.sizes[2:]) == {(512, 512, 3)}
    for one in [*first, *again]:
        np.testing.assert_allclose(one.ears, (120, 90), atol=2)
        assert one.neck_px == pytest.approx(60, abs=3)
        assert one.yaw_deg == pytest.approx(-90)
        assert one.tilt_deg == pytest.approx(0, abs=1)
    assert read_body_again(photo, [], detector) == []


@pytest.mark.parametrize(
    ("angle", "tilts", "contradicts"),
    [
        (171, (9, 8), True),
        (175, (-170, -173), False),
        (90, (-80, -77), True),
        (171, (9, 60), False),
        (4, (0, 0), False),
    ],
)
def test_a_body_that_stands_contradicts_a_face_that_hangs(
    angle: float, tilts: tuple[float, float], contradicts: bool
) -> None:
    crop = HeadCrop((100.0, 60.0), 50.0, angle)
    body = [BodyReading(0.0, (100.0, 50.0), 60.0, tilt) for tilt in tilts]
    assert body_contradicts(body, crop) is contradicts
    away = [BodyReading(0.0, (400.0, 50.0), 60.0, tilt) for tilt in tilts]
    shrunk = [BodyReading(0.0, (100.0, 50.0), 10.0, tilt) for tilt in tilts]
    for other in (away, shrunk, body[:1], []):
        assert not body_contradicts(other, crop)
