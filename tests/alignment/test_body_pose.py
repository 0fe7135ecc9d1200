"""The yaw from the landmarks of a body."""

import numpy as np
import pytest

from panohead.alignment.angles import (
    view_of_orbit,
)
from panohead.alignment.body_pose import LEFT_EAR, NOSE, RIGHT_EAR, yaw_of_body


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
