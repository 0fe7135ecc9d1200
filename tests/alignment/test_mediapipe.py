"""Alignment by MediaPipe (extra ``face``) of a real photo that ships with scikit-image. Skipped without it."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("mediapipe", exc_type=ImportError)

from skimage import data

from panohead.alignment.cut_head import cut_head
from panohead.alignment.detectors import Detectors
from panohead.alignment.head_alignment import align_all, align_image
from panohead.alignment.head_choice import note_on_turn
from panohead.alignment.quality_gates import QualityGates
from panohead.errors import PanoHeadError
from panohead.inversion.load_photos import read_images
from panohead.preparation.run import prepare
from panohead.preparation.settings import PrepareSettings

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def detectors() -> Detectors:
    return Detectors()


def test_astronaut_is_found(detectors: Detectors) -> None:
    found = align_image(data.astronaut(), detectors)
    assert found is not None
    assert found.kind == "face"
    np.testing.assert_allclose(found.crop.center, (225, 109), atol=6)
    assert found.crop.half_px == pytest.approx(78, abs=4)
    assert abs(found.angles_deg[0]) < 6


def test_python_is_as_silent_as_the_commands() -> None:
    """MediaPipe's native code would write a dozen lines to standard error, and protobuf warnings with source lines."""
    code = (
        "from skimage import data; from panohead.alignment import align; print(align(data.astronaut()).alignment.kind)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("face\n", "")


def test_a_smaller_face_beside_a_larger_one_is_found_too(detectors: Detectors) -> None:
    large = Image.fromarray(data.astronaut()[:260, 90:350]).resize((512, 512), Image.Resampling.LANCZOS)
    both = np.concatenate([np.asarray(large), data.astronaut()], axis=1)
    found = align_all(both, detectors)
    assert len(found) == 2
    ratio = found[0].crop.half_px / found[1].crop.half_px
    assert max(ratio, 1 / ratio) == pytest.approx(512 / 260, rel=0.1)


@pytest.mark.parametrize("angle", [-25, 25, 90])
def test_turning_the_photo_turns_the_crop(detectors: Detectors, angle: int) -> None:
    photo = data.astronaut()[:260, 90:350]
    turned = np.asarray(Image.fromarray(photo).rotate(angle, Image.Resampling.BICUBIC, fillcolor=(128, 128, 128)))
    straight, found = align_image(photo, detectors), align_image(turned, detectors)
    assert straight is not None
    assert found is not None
    turn, middle = np.radians(-angle), np.array([129.5, 129.5])
    matrix = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    expected = (straight.crop.core_corners() - middle) @ matrix.T + middle
    assert np.linalg.norm(found.crop.core_corners() - expected, axis=1).max() < 0.04 * straight.crop.half_px * 2


def test_a_cup_of_coffee_is_no_head(detectors: Detectors) -> None:
    found = align_image(data.coffee(), detectors)
    assert found is None or (found.kind == "coarse" and found.confidence < 0.15)


def test_astronaut_end_to_end(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    Image.fromarray(data.astronaut()).save(tmp_path / "in" / "astronaut.png")
    Image.fromarray(data.coffee()).save(tmp_path / "in" / "coffee.png")
    summary = prepare([str(tmp_path / "in")], PrepareSettings(out=tmp_path / "out", size=128), workers=0)
    assert (summary.photos, summary.accepted) == (2, 1)
    (image,) = (tmp_path / "out" / "images").glob("*/*.png")
    mask = np.asarray(Image.open(tmp_path / "out" / "masks" / image.parent.name / image.name))
    assert mask[70, 64] > 250
    assert mask[3, 3] < 5
    assert 0.5 < mask.mean() / 255 < 0.8
    assert len(json.loads((tmp_path / "out/images/dataset.json").read_text())["labels"][0][1]) == 25


@pytest.mark.parametrize("quarters", [0, 1, 2, 3])
def test_photos_are_turned_upright(detectors: Detectors, quarters: int) -> None:
    """Upside down the mesh finds "a face" too; the crop is that of the upright photo all the same."""
    photo = data.astronaut()[:260, 90:350]
    straight = align_image(photo, detectors)
    found = align_image(np.ascontiguousarray(np.rot90(photo, quarters)), detectors)
    assert straight is not None
    assert found is not None
    assert (found.crop.angle_deg + 90 * quarters - straight.crop.angle_deg + 180) % 360 - 180 == pytest.approx(0, abs=3)
    np.testing.assert_allclose(found.angles_deg[:2], straight.angles_deg[:2], atol=4)
    assert (note_on_turn(found) != "") == (quarters != 0)


def test_upside_down_photos_are_left_out_with_the_remedy_or_turned(tmp_path: Path) -> None:
    Image.fromarray(data.astronaut()[::-1, ::-1]).save(tmp_path / "down.png")
    strict = prepare([str(tmp_path / "down.png")], PrepareSettings(out=tmp_path / "a", size=64), workers=0)
    assert strict.accepted == 0
    (reason,) = strict.reasons
    assert reason.startswith("tilted by")
    assert "turn the photo, or allow it with --gates.max-roll-deg 180" in (tmp_path / "a/prepare.jsonl").read_text()
    gates = QualityGates(max_roll_deg=180.0)
    assert (
        prepare([str(tmp_path / "down.png")], PrepareSettings(out=tmp_path / "b", size=64, gates=gates), 0).accepted
        == 1
    )
    assert "photo turned upright, by -177 degrees" in (tmp_path / "b" / "prepare.jsonl").read_text()


@pytest.mark.parametrize("shape", [(563, 6000), (8000, 563)])
def test_panoramas_are_searched_in_parts(detectors: Detectors, shape: tuple[int, int]) -> None:
    photo = np.full((*shape, 3), 120, np.uint8)
    top, left = (150, 4000) if shape[1] > shape[0] else (6000, 150)
    photo[top : top + 260, left : left + 260] = data.astronaut()[:260, 90:350]
    found = align_image(photo, detectors)
    assert found is not None
    assert found.kind == "face"
    np.testing.assert_allclose(found.crop.center, (left + 135, top + 110), atol=6)


def test_half_a_face_is_not_made_whole_by_its_mirror_image(detectors: Detectors) -> None:
    """The frame cuts through the head: its left part is missing, not mirrored."""
    photo = np.ascontiguousarray(data.astronaut()[:300, 200:380])
    found = align_image(photo, detectors)
    assert found is not None
    head = cut_head(photo, found, detectors.masker)
    assert head.mask[head.inside == 0].max() == 0
    assert head.outside.sides == ("left",)
    assert head.outside.share > 0.08
    whole = align_image(data.astronaut(), detectors)
    assert whole is not None
    np.testing.assert_allclose(np.add(found.crop.center, (200, 0)), whole.crop.center, atol=12)


@pytest.mark.parametrize(
    ("side", "shown", "bar"),
    [("left", 0.65, False), ("right", 0.6, False), ("right", 0.6, True), ("bottom", 0.55, False)],
)
def test_a_frame_through_the_face_does_not_turn_it(detectors: Detectors, side: str, shown: float, bar: bool) -> None:
    """A face of which the frame leaves out a third was taken for a whole one, smaller and turned by 26 degrees."""
    photo = data.astronaut()
    whole = align_image(photo, detectors)
    assert whole is not None
    assert whole.landmarks is not None
    low, high = whole.landmarks[:, :2].min(axis=0), whole.landmarks[:, :2].max(axis=0)
    ends = {"left": high - shown * (high - low), "right": low + shown * (high - low)}
    ends["bottom"] = ends["right"]
    x, y = (int(v) for v in ends[side])
    part = {"left": np.s_[:, x:], "right": np.s_[:, :x], "bottom": np.s_[:y]}[side]
    cut, moved = np.ascontiguousarray(photo[part]), np.array([x if side == "left" else 0, 0])
    if bar:
        barred = np.zeros_like(photo)
        barred[part] = cut
        cut, moved = barred, np.zeros(2, dtype=int)
    found = align_image(cut, detectors)
    assert found is not None
    assert found.method == "face landmarks"
    assert max(abs(a - b) for a, b in zip(found.angles_deg[:2], whole.angles_deg[:2], strict=True)) < 9
    assert found.crop.half_px == pytest.approx(whole.crop.half_px, rel=0.12)
    np.testing.assert_allclose(np.add(found.crop.center, moved), whole.crop.center, atol=14)
    assert cut_head(cut, found, detectors.masker).outside.sides == (side,)


@pytest.mark.parametrize("bottom", [113, 103])
def test_hair_and_forehead_alone_are_no_back(detectors: Detectors, bottom: int) -> None:
    """Below the eyes the photo ends: no face is found, and the landmarks of the body are made up."""
    found = align_image(np.ascontiguousarray(data.astronaut()[:bottom, 90:350]), detectors)
    assert found is not None
    assert not found.is_sure


def test_an_animal_is_no_head() -> None:
    with pytest.raises(PanoHeadError, match=r"no head was found in photo 1: the best guess, .* needs 0\.15"):
        read_images([data.chelsea()], None, 64)


def test_one_face_is_followed_through_a_video() -> None:
    """The refined mesh in a window that follows the face: as it moves, is gone, and comes back elsewhere."""
    from panohead.capture.face_track import FaceTrack

    photo = data.astronaut()
    track = FaceTrack()
    first = track.next(photo)
    assert first is not None
    assert first.shape == (478, 3)
    moved = track.next(np.roll(photo, (6, 10), axis=(0, 1)))
    assert moved is not None
    np.testing.assert_allclose((moved - first)[:, :2].mean(axis=0), [10, 6], atol=1)
    irises = moved[[468, 473], :2].mean(axis=0)
    np.testing.assert_allclose(irises, moved[[33, 133, 362, 263], :2].mean(axis=0), atol=4)
    assert track.next(np.full_like(photo, 90)) is None
    again = track.next(photo)
    assert again is None or np.abs(again - first)[:, :2].max() < 3
    assert track.most_faces == 1
