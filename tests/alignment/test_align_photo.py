"""``panohead.alignment.align``: one photo in, crop, camera and mask out, without MediaPipe."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import panohead.alignment
from drawn import DrawnFaces, DrawnMask, drawn_photo
from panohead.alignment import AlignedHead, Detectors, GivenPose, align, align_image
from panohead.errors import PanoHeadError
from panohead.geometry.camera import Camera

BOX = (80.0, 60.0, 240.0, 250.0)


def detectors(faces: DrawnFaces | None = None) -> Detectors:
    return Detectors(faces=faces or DrawnFaces(turn_deg=20.0), body=None, masker=DrawnMask())


def aligned(photo: object, given: GivenPose | None = None) -> AlignedHead:
    head = align(photo, detectors(), given=given)  # type: ignore[arg-type]
    assert head is not None
    return head


def same(a: AlignedHead, b: AlignedHead) -> bool:
    return np.array_equal(a.image, b.image) and np.array_equal(a.mask, b.mask) and a.alignment.crop == b.alignment.crop


@pytest.mark.parametrize("name", panohead.alignment.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(panohead.alignment, name).__name__ == name


def test_a_missing_name_is_an_attribute_error() -> None:
    assert not hasattr(panohead.alignment, "nothing")


def test_path_image_and_array_give_the_same(tmp_path: Path) -> None:
    photo = drawn_photo(3)[0]
    photo.save(tmp_path / "head.png")
    expected = aligned(np.asarray(photo))
    for given in (photo, tmp_path / "head.png", str(tmp_path / "head.png"), photo.convert("RGBA")):
        assert same(aligned(given), expected)


def test_crop_camera_and_mask_belong_to_the_alignment_of_the_pixels() -> None:
    pixels = np.asarray(drawn_photo(3)[0])
    head, alone = aligned(pixels), align_image(pixels, detectors())
    assert alone is not None
    np.testing.assert_array_equal(head.image, alone.cut(pixels))
    np.testing.assert_array_equal(head.mask, DrawnMask().mask(head.image))
    assert head.camera.cam2world.equal(alone.camera.cam2world)
    assert head.alignment.kind == "face"
    assert head.alignment.angles_deg[0] == pytest.approx(20.0, abs=1e-3)
    assert head.overlay().size == (320, 320)


def test_a_turned_file_is_set_upright_by_its_orientation() -> None:
    photo = drawn_photo(3)[0]
    buffer, exif = io.BytesIO(), Image.Exif()
    exif[0x0112] = 6  # shown turned clockwise by 90 degrees
    photo.transpose(Image.Transpose.ROTATE_90).save(buffer, "PNG", exif=exif)
    with Image.open(buffer) as turned:
        np.testing.assert_array_equal(aligned(turned).photo, np.asarray(photo))


def test_a_given_pose_is_taken_and_its_box_shrinks_with_a_large_photo(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn_photo(3)[0].save(tmp_path / "head.png")
    whole = aligned(tmp_path / "head.png", GivenPose(120.0, 10.0, 0.0, BOX))
    np.testing.assert_allclose(whole.camera.cam2world, Camera.orbit(120.0, 10.0).cam2world, atol=1e-6)
    monkeypatch.setattr("panohead.alignment.read_photo.MAX_SIDE_PX", 160)
    half = aligned(tmp_path / "head.png", GivenPose(120.0, 10.0, 0.0, BOX))
    assert half.photo.shape == (160, 160, 3)
    assert half.alignment.crop.half_px == pytest.approx(whole.alignment.crop.half_px / 2)


def test_no_head_is_none() -> None:
    class NoOne:
        def mask(self, image: np.ndarray) -> np.ndarray:
            return np.zeros(image.shape[:2])

    blank = np.full((200, 200, 3), 90, np.uint8)
    assert align(blank, Detectors(faces=DrawnFaces(), body=None, masker=NoOne())) is None


def test_an_outline_alone_is_a_guess_and_no_head() -> None:
    """As for ``reconstruct`` and ``prepare``; the guess itself is to be had from ``align_image``."""
    chosen = Detectors(faces=DrawnFaces(middles=()), body=None, masker=DrawnMask())
    pixels = np.asarray(drawn_photo(3)[0])
    guess = align_image(pixels, chosen)
    assert guess is not None
    assert not guess.is_sure
    assert align(pixels, chosen) is None


@pytest.mark.parametrize(
    ("photo", "message"),
    [
        ("nowhere/head.jpg", "nowhere/head.jpg cannot be read .*check the path"),
        (np.zeros((4, 4, 3), np.float32), "an array of float32, 4 x 4 x 3; give height x width x 3 of uint8"),
        (np.zeros((4, 4, 2), np.uint8), "an array of uint8, 4 x 4 x 2; give"),
        (np.zeros(4, np.uint8), "an array of uint8, 4; give"),
    ],
)
def test_no_photo_is_one_sentence(photo: object, message: str) -> None:
    with pytest.raises(PanoHeadError, match=message):
        align(photo, detectors())  # type: ignore[arg-type]


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("hello")
    with pytest.raises(PanoHeadError, match=r"text\.png is no usable photo"):
        align(tmp_path / "text.png", detectors())
