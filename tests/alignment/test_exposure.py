"""Too much and too little light get their own words, not those of blur."""

import numpy as np

from alignment.test_head_alignment import Faces, facts
from panohead.alignment.head_alignment import align_face
from panohead.alignment.quality import QualityGates, exposure, flags, gate

MASK = np.pad(np.ones((60, 60)), 20)
FACE = align_face(Faces((10, 8, 300, 200)).found[0])


def person(low: int, high: int) -> np.ndarray:
    return np.random.default_rng(0).integers(low, high, (100, 100, 3), dtype=np.uint8)


def test_ordinary_and_dark_skinned_people_are_exposed_well() -> None:
    assert exposure(person(60, 220), MASK).problem == ""
    assert exposure(person(10, 110), MASK).problem == "", "dark skin and hair, with highlights"
    assert exposure(person(150, 256), MASK).problem == "", "white hair"


def test_dark_and_burnt_photos_are_named() -> None:
    dark, burnt = exposure(person(0, 40), MASK), exposure(np.maximum(person(200, 256), 252), MASK)
    assert dark.problem.startswith("underexposed: 95% of the person is darker than 3")
    assert burnt.problem.startswith("overexposed: 100% of the person is plain white")
    bright_wall = np.where(MASK[..., None] > 0.5, person(60, 200), np.uint8(255)).astype(np.uint8)
    assert exposure(bright_wall, MASK).problem == "", "the background does not count"


def test_dark_is_not_blurred() -> None:
    dark = exposure(person(0, 40), MASK)
    assert gate(FACE, facts(sharpness=2.0, exposure=dark), QualityGates()) == dark.problem
    assert gate(FACE, facts(sharpness=2.0), QualityGates()).startswith("blurred")
    assert gate(FACE, facts(exposure=dark), QualityGates()) == "", "sharp enough to be used"
    assert dark.problem in flags(FACE, facts(exposure=dark))
