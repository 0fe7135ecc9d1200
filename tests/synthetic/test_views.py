"""Cameras of the dataset against the project's camera, and how views are spread."""

import numpy as np
import pytest
import torch

from panohead.geometry.camera import Camera
from panohead.synthetic.views import FOCAL, PITCH_LIMIT_DEG, PersonView, sample_views


@pytest.mark.parametrize("yaw_deg", [0.0, 37.0, 90.0, -135.0, 180.0])
@pytest.mark.parametrize("pitch_deg", [0.0, 25.0, -30.0])
def test_labels_are_those_of_the_orbit_camera(yaw_deg: float, pitch_deg: float) -> None:
    label = torch.tensor(PersonView(yaw_deg, pitch_deg).label(FOCAL))
    torch.testing.assert_close(label, Camera.orbit(yaw_deg, pitch_deg).to_label(), atol=2e-6, rtol=0)


def test_frontal_label_is_the_official_one() -> None:
    label = PersonView(0.0, 0.0).label(FOCAL)
    assert label[:16] == [1, 0, 0, 0, 0, -1, 0, 0, 0, 0, -1, 2.7, 0, 0, 0, 1]
    assert label[16:] == [4.2647, 0, 0.5, 0, 4.2647, 0.5, 0, 0, 1]


def test_every_person_is_seen_from_every_sector() -> None:
    for seed in range(40):
        yaws = np.array([v.yaw_deg for v in sample_views(np.random.default_rng(seed), 8, 12.0)])
        assert (yaws >= -180).all()
        assert (yaws < 180).all()
        ordered = np.sort(yaws)
        gaps = np.diff(np.append(ordered, ordered[0] + 360))
        assert gaps.max() <= 90 + 1e-6  # two neighboring sectors of 45 degrees
    many = np.array([v.yaw_deg for s in range(500) for v in sample_views(np.random.default_rng(s), 8, 12.0)])
    counts, _ = np.histogram(many, 12, (-180, 180))
    np.testing.assert_allclose(counts / len(many), 1 / 12, atol=0.012)


def test_pitch_is_normal_and_clipped() -> None:
    pitch = np.array([v.pitch_deg for s in range(600) for v in sample_views(np.random.default_rng(s), 8, 12.0)])
    assert pitch.std() == pytest.approx(12, abs=0.5)
    assert pitch.mean() == pytest.approx(0, abs=0.6)
    wide = np.array([v.pitch_deg for s in range(100) for v in sample_views(np.random.default_rng(s), 8, 40.0)])
    assert np.abs(wide).max() == PITCH_LIMIT_DEG
