"""Pairing of photos with generated images."""

import numpy as np
import pytest
import torch

from panohead.errors import PanoHeadError
from panohead.evaluation.protocol import RANDOM_PITCH_DEG, comparisons, drawn_labels, yaw_of
from panohead.geometry.camera import Camera

YAW = np.array([-180.0, -150, -90, -89.9, 0, 29.9, 30, 89.9, 90, 180])


def test_front_and_back_part_the_circle_and_so_do_the_bins() -> None:
    subsets = {row.subset.name: row.subset for row in comparisons(["all", "front", "back", "bins"], ["strict"])}
    front, back = subsets.pop("front").contains(YAW), subsets.pop("back").contains(YAW)
    assert (front ^ back).all()
    assert YAW[front].tolist() == [-89.9, 0, 29.9, 30, 89.9]
    assert subsets.pop("all").contains(YAW).all()
    assert len(subsets) == 6
    assert (sum(subset.contains(YAW).astype(int) for subset in subsets.values()) == 1).all()


def test_official_keeps_all_fakes_and_strict_those_of_the_subset() -> None:
    official, strict = comparisons(["back"], ["official", "strict"])
    assert official.fakes(YAW).all()
    assert (strict.fakes(YAW) == (np.abs(YAW) >= 90)).all()
    assert official.subset.route == "front", "backs are conditioned on the front camera, as in the original"
    assert [row.protocol for row in comparisons(["all", "random"], ["official", "strict"])] == ["both", "both"]
    with pytest.raises(PanoHeadError, match="sideways"):
        comparisons(["sideways"], ["strict"])


def test_cameras_are_the_datasets_or_fill_the_band() -> None:
    labels = torch.stack([Camera.orbit(float(yaw)).to_label() for yaw in range(0, 360, 10)])
    drawn = drawn_labels(labels, "forward", seed=0, first=0, count=50)
    assert all((label == labels).all(dim=1).any() for label in drawn)
    assert torch.equal(drawn[7:9], drawn_labels(labels, "forward", seed=0, first=7, count=2))
    cameras = Camera.from_label(drawn_labels(labels, "random", seed=0, first=0, count=400))
    height = cameras.position[:, 1] / cameras.position.norm(dim=1)
    assert float(height.abs().max()) <= np.sin(np.deg2rad(RANDOM_PITCH_DEG)) + 1e-6
    # Evenly over the band: height and yaw are uniform (Archimedes).
    assert float(height.abs().mean()) == pytest.approx(np.sin(np.deg2rad(RANDOM_PITCH_DEG)) / 2, rel=0.1)
    assert np.histogram(yaw_of(cameras.to_label()), bins=4, range=(-180, 180))[0].min() > 70
