"""Which head is meant, and what is said about it."""

import numpy as np

from alignment.test_head_alignment import Faces, detectors
from panohead.alignment.head_alignment import align_all, align_face
from panohead.alignment.head_choice import note_on_choice, note_on_turn
from panohead.alignment.overlay import overlay

SHAPE = (480, 640, 3)
IMAGE = np.zeros(SHAPE, dtype=np.uint8)


def test_a_smaller_bystander_nearer_the_center_does_not_win() -> None:
    for bystander in (3.0, 5.0, 6.5):
        found = align_all(IMAGE, detectors((0, bystander, 320, 240), (10, 8, 90, 300)))
        assert [round(one.angles_deg[0]) for one in found] == [10, 0], bystander


def test_of_heads_of_one_size_the_central_one_wins() -> None:
    found = align_all(IMAGE, detectors((10, 8, 90, 300), (0, 7.8, 320, 240)))
    assert [round(one.angles_deg[0]) for one in found] == [0, 10]


def test_landmarks_that_fit_no_face_come_last() -> None:
    chosen = detectors((0, 5, 320, 240), (10, 12, 200, 300))
    faces = chosen.faces.found
    faces[1] = faces[1] + np.random.default_rng(0).normal(0, 60, faces[1].shape)
    found = align_all(IMAGE, chosen)
    assert found[0].residual is not None
    assert found[0].residual < 0.01


def test_the_choice_is_said() -> None:
    found = align_all(IMAGE, detectors((0, 8, 90, 300), (10, 4, 320, 240)))
    assert note_on_choice(found[:1], 1, SHAPE) == ""
    first, second = (note_on_choice(found, number, SHAPE) for number in (1, 2))
    assert "2 heads were found; number 1, the most prominent is taken" in first
    assert "on the left). --head 2 takes another" in first
    assert "number 2 is taken" in second
    assert "in the middle). --head 1 takes another" in second


def test_turned_photos_are_said_to_be() -> None:
    upright = Faces((10, 8, 300, 200)).found[0]
    assert note_on_turn(align_face(upright)) == ""
    down = align_face(upright * [-1, -1, 1] + [600, 400, 0])
    assert "upside down (tilted by 180 degrees)" in note_on_turn(down).replace("-180", "180")
    assert "lying on its side (tilted by 90" in note_on_turn(align_face(upright[:, [1, 0, 2]] * [-1, 1, 1]))


def test_overlays_number_the_heads() -> None:
    gray = np.full(SHAPE, 128, np.uint8)
    found = align_all(gray, detectors((0, 8, 160, 240), (10, 6, 480, 240)))
    plain, numbered = (
        np.asarray(overlay(gray, found[0], None, accepted=True, heads=heads)).astype(int) for heads in ([], found)
    )
    changed = np.abs(plain - numbered).max(axis=-1) > 20
    assert changed[:, 170:].any(), "the other head has a box"
    assert changed[:, :150].any(), "the chosen one has its number"
