"""Faces compared with labels: one crop and whole datasets, with a stand-in for the detector."""

import numpy as np
import pytest

from drawn import DrawnFaces, framed_faces
from panohead.alignment.comparison.dataset_check import SampleImage, examine_sample
from panohead.alignment.comparison.label_faces import FaceComparison, compare_face, dataset_problem, framing_note
from panohead.geometry.camera import Camera

CROP = np.random.default_rng(0).integers(0, 255, (320, 320, 3), dtype=np.uint8)


def compared(face_deg: float, label_deg: float, faces: DrawnFaces | None = None) -> FaceComparison:
    found = compare_face(CROP, Camera.orbit(label_deg), faces or framed_faces(face_deg))
    assert found is not None
    return found


@pytest.mark.parametrize("yaw", [-40.0, -12.0, 0.0, 25.0])
def test_a_right_label_agrees(yaw: float) -> None:
    found = compared(yaw, yaw)
    assert found.apart_deg < 3
    assert found.size_ratio == pytest.approx(1.0, abs=0.03)
    assert [found.is_apart, found.is_mirrored, found.is_misplaced] == [False] * 3


def test_mirrored_crops_are_noticed_though_the_angle_is_small() -> None:
    found = compared(11.0, -11.0)
    assert not found.is_apart
    assert found.is_mirrored
    assert not compared(3.0, -3.0).is_mirrored


def test_tiny_crops_are_not_measured() -> None:
    assert compare_face(CROP[:40, :40], Camera.orbit(), framed_faces()) is None


def test_small_crops_are_measured() -> None:
    found = compare_face(CROP[:64, :64], Camera.orbit(20.0), framed_faces(20.0))
    assert found is not None
    assert found.apart_deg < 3
    assert not found.is_misplaced


YAWS = (-35.0, -20.0, -12.0, 0.0, 15.0, 22.0, 30.0, 40.0)


def test_datasets_with_right_labels_pass() -> None:
    assert dataset_problem([compared(yaw, yaw + 4) for yaw in YAWS]) == ""
    assert dataset_problem([compared(30.0, -30.0)] * 3) == "", "three faces are no sample"


def test_mirrored_images_of_a_dataset_are_noticed() -> None:
    every = dataset_problem([compared(yaw, -yaw) for yaw in YAWS])
    assert "look to the other side than their labels say" in every
    assert "--cameras-from mirrored" in every
    doubled = dataset_problem([compared(yaw, yaw) for yaw in YAWS] + [compared(-yaw, yaw) for yaw in YAWS])
    assert "mirrored without their labels" in doubled
    assert "--cameras-from" not in doubled, "half of them are right"


def test_labels_that_are_turned_or_mixed_up_are_noticed() -> None:
    assert "--cameras-from turned" in dataset_problem([compared(yaw, yaw + 180) for yaw in YAWS])
    assert "convert" not in dataset_problem([compared(yaw, yaw + 90) for yaw in YAWS])
    assert "all by about -90 degrees of yaw" in dataset_problem([compared(yaw, yaw + 90) for yaw in YAWS])
    mixed = [compared(yaw, label) for yaw, label in zip(YAWS, (150, -80, 60, 100, -120, 170, -60, 110), strict=True)]
    assert "labels seem to belong to other images" in dataset_problem(mixed)


@pytest.mark.parametrize("turn", [20.0, 40.0, -60.0])
def test_a_smaller_turn_of_all_labels_is_no_mirror_image(turn: float) -> None:
    problem = dataset_problem([compared(yaw, yaw + turn) for yaw in YAWS])
    assert f"all by about {-turn:.0f} degrees of yaw" in problem
    assert "mirrored" not in problem


def test_labels_mixed_up_among_faces_from_the_front_are_noticed() -> None:
    """No label need be far from its face. One set in 200 is taken for mirrored, such as that of seed 2."""
    found = []
    for seed in range(4):
        rng = np.random.default_rng(seed)
        yaws = rng.uniform(-25, 25, 24)
        assert dataset_problem([compared(yaw, yaw + rng.normal(0, 5)) for yaw in yaws]) == ""
        labels = rng.permutation(yaws)
        found.append(dataset_problem([compared(yaw, label) for yaw, label in zip(yaws, labels, strict=True)]))
    assert all(found)
    assert sum(problem.endswith("the labels seem to belong to other images") for problem in found) >= 3
    frontal = np.random.default_rng(9).normal(0, 3, 24)
    pairs = zip(frontal, np.roll(frontal, 5), strict=True)
    assert dataset_problem([compared(yaw, label) for yaw, label in pairs]) == "", "nothing to tell them apart by"


def test_another_framing_is_noticed() -> None:
    close = [compared(0, 0, DrawnFaces(yaw / 4, ((0.5, 0.5),), 1.6 * 11.93)) for yaw in YAWS]
    assert dataset_problem(close) == "", "other networks are trained on crops of other frames"
    assert "1.6 times as large" in framing_note(close)
    assert "panohead prepare" in framing_note(close)
    assert framing_note([compared(yaw, yaw) for yaw in YAWS]) == ""


def test_a_sample_is_compared_by_masks_and_faces() -> None:
    mask = np.zeros((320, 320), np.uint8)
    mask[80:300, 60:260] = 255
    label = Camera.orbit(20.0).to_label().numpy()
    sample = [SampleImage(f"{i}.png", CROP, mask, label) for i in range(6)]
    assert examine_sample(sample, lambda: framed_faces(20.0)).problems == ()
    assert examine_sample(sample, lambda: None).problems == ()
    inverted = [SampleImage(one.name, one.image, 255 - one.mask, label) for one in sample]
    (problem,) = examine_sample(inverted, lambda: None).problems
    assert "of 6 masks in a sample, 6 cannot be used; such as 0.png: it leaves out the middle" in problem
    (problem,) = examine_sample(sample, lambda: framed_faces(-20.0)).problems
    assert "mirrored" in problem
    tiny = [SampleImage(one.name, one.image[:32, :32], one.mask[:32, :32], label) for one in sample]
    assert examine_sample(tiny, lambda: pytest.fail("opened for nothing")).problems == ()
