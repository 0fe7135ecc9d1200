"""Too much and too little light get their own words, not those of blur."""

from dataclasses import replace

import numpy as np
import pytest
from skimage import data

from alignment.test_head_alignment import Faces, facts
from panohead.alignment.head_alignment import align_face
from panohead.alignment.quality import QualityGates, exposure, flags, gate, why_nothing_is_found

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


def lit(photo: np.ndarray, factor: float) -> np.ndarray:
    """The photo in so many times the light."""
    linear = np.clip(factor * (photo / 255.0) ** 2.2, 0, 1)
    return np.rint(255 * linear ** (1 / 2.2)).astype(np.uint8)


UNSURE = replace(FACE, kind="coarse", confidence=0.1)


@pytest.mark.parametrize(("factor", "word"), [(0.001, "underexposed"), (8, "overexposed"), (100, "overexposed")])
def test_light_that_hides_a_head_is_named(factor: float, word: str) -> None:
    photo = lit(data.astronaut(), factor)
    assert why_nothing_is_found(photo).startswith(f"{word}: ")
    assert why_nothing_is_found(photo, UNSURE).endswith(" of the photo is plain white, and no head is found in it") == (
        word == "overexposed"
    )
    assert why_nothing_is_found(photo, FACE) == "", "a head is found"
    assert why_nothing_is_found(photo, replace(UNSURE, kind="given")) == "", "the user found one"


def test_white_paper_and_ordinary_light_are_no_reasons() -> None:
    paper = np.pad(data.astronaut()[:260, 90:350], ((200, 0), (300, 300), (0, 0)), constant_values=255)
    assert why_nothing_is_found(paper, UNSURE) == why_nothing_is_found(data.coffee()) == ""


def test_a_person_burnt_in_single_colors_is_overexposed() -> None:
    """Three times the light: a third is white, and most of the skin has lost its red."""
    head = lit(data.astronaut()[20:200, 160:300], 3)
    found = exposure(head, np.ones(head.shape[:2]))
    assert found.clipped < 0.35
    assert found.problem.startswith("overexposed")
    red_shirt = np.tile(np.array([255, 20, 30], np.uint8), (100, 100, 1))
    assert exposure(red_shirt, MASK).problem == ""
