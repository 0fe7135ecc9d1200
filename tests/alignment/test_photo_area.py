"""The part of a crop that its photo shows: laws, a slow reference, and that nothing beyond it is evidence."""

import numpy as np
import pytest

from drawn import DrawnFaces
from panohead.alignment.align_photo import align
from panohead.alignment.angles import camera_of_view, view_of_orbit
from panohead.alignment.crop import FRAME, HeadCrop, frame_to_core, is_inside
from panohead.alignment.cut_head import cut_head
from panohead.alignment.detectors import Detectors
from panohead.alignment.head_alignment import Alignment
from panohead.alignment.photo_area import PhotoArea, head_outside, inside_photo, photo_area
from panohead.alignment.quality import QualityGates, flags, gate, measure


class Everyone:
    """A masker that finds a person in every pixel, as networks do in the mirror image of one."""

    def mask(self, image: np.ndarray) -> np.ndarray:
        return np.ones(image.shape[:2])


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 255, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("seed", range(6))
def test_inside_is_what_sampling_every_pixel_says(seed: int) -> None:
    rng = np.random.default_rng(seed)
    crop = HeadCrop(tuple(rng.uniform(0, 200, 2)), float(rng.uniform(30, 150)), float(rng.uniform(-180, 180)))
    shape = (int(rng.integers(50, 250)), int(rng.integers(50, 250)))
    corners = PhotoArea(0, 0, shape[1], shape[0]).corners(crop)
    # The samples of every pixel of the frame, a quarter of a pixel off its center.
    quarter = np.array([-0.25, 0.25])
    ends = (np.arange(FRAME)[:, None] + quarter).ravel()
    places = crop.points(frame_to_core(np.stack(np.meshgrid(ends, ends), -1)))
    expected = is_inside(places, shape).reshape(FRAME, 2, FRAME, 2).mean(axis=(1, 3))
    assert np.abs(inside_photo(corners, FRAME) - expected).mean() < 1e-4


def test_smaller_frames_show_the_same_part() -> None:
    corners = np.array([[0.2, -0.1], [0.3, 0.9], [1.3, 0.8], [1.2, -0.2]])
    large = inside_photo(corners, 512).reshape(64, 8, 64, 8).mean(axis=(1, 3))
    assert np.abs(inside_photo(corners, 64) - large).mean() < 0.005


def test_bars_are_no_photo_and_walls_are() -> None:
    photo = np.zeros((100, 160, 3), np.uint8)
    photo[20:90, 30:] = noise(70, 130)
    assert photo_area(photo) == PhotoArea(30, 20, 160, 90)
    screen = np.zeros((400, 160, 3), np.uint8)
    screen[150:250] = noise(100, 160)
    assert photo_area(screen) == PhotoArea(0, 150, 160, 250), "a video on an upright telephone"
    assert photo_area(screen).share_of(np.array([[0.0, 149], [0, 150], [159, 249], [160, 200]])) == 0.5
    wall = np.full((100, 160, 3), 200, np.uint8)
    wall[40:, 60:90] = noise(60, 30)
    assert photo_area(wall) == PhotoArea(0, 0, 160, 100), "a plain wall around a head is photo"
    assert photo_area(np.full((40, 40, 3), 7, np.uint8)) == PhotoArea(0, 0, 40, 40)


def alignment_at(x: float, y: float, half: float = 100.0) -> Alignment:
    return Alignment(camera_of_view(view_of_orbit(0.0, 0.0, 0.0)), HeadCrop((x, y), half, 0.0), 1.0, "face", "test")


@pytest.mark.parametrize(
    ("x", "y", "side", "share"),
    [
        (40.0, 220.0, "left", 0.2),
        (360.0, 220.0, "right", 0.2),
        (200.0, 40.0, "top", 0.4),
        (200.0, 400.0, "bottom", 0.36),
    ],
)
def test_the_missing_part_of_a_head_is_named(x: float, y: float, side: str, share: float) -> None:
    found = cut_head(noise(400, 400), alignment_at(x, y), Everyone())
    assert found.outside.sides == (side,)
    assert found.outside.share == pytest.approx(share, abs=0.1)
    assert found.outside.is_much
    assert not found.is_whole
    # Nothing beyond the photo is person, whatever networks find in the mirror image there.
    assert found.mask[found.inside == 0].max() == 0
    assert found.mask[found.inside == 1].min() == 1
    facts = measure(alignment_at(x, y), found)
    assert any(f"of the head lies outside the photo ({side})" in flag for flag in flags(alignment_at(x, y), facts))


def test_a_whole_head_has_no_missing_part() -> None:
    found = cut_head(noise(600, 600), alignment_at(300.0, 300.0), Everyone())
    assert found.is_whole
    assert found.outside.share == 0
    assert flags(alignment_at(300.0, 300.0), measure(alignment_at(300.0, 300.0), found)) == ["enlarged"]


def test_a_bare_face_misses_all_around() -> None:
    found = cut_head(noise(220, 220), alignment_at(110.0, 130.0, 200.0), Everyone())
    assert set(found.outside.sides) == {"left", "right", "top", "bottom"}
    assert found.outside.share > 0.3
    assert gate(alignment_at(110.0, 130.0, 200.0), measure(alignment_at(110.0, 130.0, 200.0), found), QualityGates())


def test_background_at_the_edge_means_that_nothing_is_missing() -> None:
    inside = np.ones((563, 563))
    inside[:, :180] = 0
    assert head_outside(inside, 0.0).share > 0.03
    mask = np.zeros((563, 563))
    mask[:, 220:] = 1
    assert head_outside(inside, 0.0, mask).share == 0


def test_align_tells_the_part_that_is_photo() -> None:
    photo = noise(320, 320)
    head = align(photo, Detectors(faces=DrawnFaces(middles=((0.1, 0.5),)), body=None, masker=Everyone()))
    assert head is not None
    assert head.inside.min() == 0
    assert head.mask[head.inside == 0].max() == 0
