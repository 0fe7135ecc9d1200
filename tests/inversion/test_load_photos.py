"""Unusual photos, or photos without a head: one clear sentence or a note; never a traceback."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from drawn import DrawnFaces, DrawnMask, drawn_photo, framed_faces
from panohead.alignment.angles import orbit_of_view, view_of_camera
from panohead.alignment.detectors import Detectors
from panohead.alignment.pose_file import GivenPose
from panohead.cli.main import main
from panohead.cli.reconstruct import Reconstruct
from panohead.errors import PanoHeadError
from panohead.geometry import Camera
from panohead.inversion.labels import refuse_mismatch
from panohead.inversion.load_photos import read_images
from panohead.inversion.photo import AlignedPhoto
from panohead.media.images import to_uint8

SIDE = 64
FRONT = Camera.orbit()


class NoOutline:
    def mask(self, image: np.ndarray) -> np.ndarray:
        return np.zeros(image.shape[:2])


def tools(faces: DrawnFaces | None = None, masker: DrawnMask | NoOutline | None = None) -> Detectors:
    return Detectors(faces=faces or DrawnFaces(), body=None, masker=masker or DrawnMask())


NO_FACES = DrawnFaces(middles=())


@pytest.fixture(scope="module")
def image() -> Image.Image:
    return drawn_photo(1)[0]


def crop(pixels: object, **options: object) -> AlignedPhoto:
    """Aligned photo of a crop."""
    return read_images([pixels], [FRONT], SIDE, **options)[0]  # type: ignore[list-item, arg-type]


def test_of_several_faces_one_is_taken_and_others_by_their_number(image: Image.Image) -> None:
    faces = DrawnFaces(middles=((0.2, 0.3), (0.55, 0.5), (0.8, 0.8)))
    several = read_images([image], None, SIDE, tools=tools(faces))[0]
    alone = read_images([image], None, SIDE, tools=tools(DrawnFaces(middles=((0.55, 0.5),))))[0]
    assert torch.equal(several.image, alone.image)
    said = "3 heads were found; number 1, the most prominent is taken"
    assert [r for r in several.notes if said in r and "in the middle" in r and "--head 2 or 3 takes another" in r]
    assert not [r for r in alone.notes if "heads were found" in r]
    third = read_images([image], None, SIDE, heads=[3], tools=tools(faces))[0]
    expected = read_images([image], None, SIDE, tools=tools(DrawnFaces(middles=((0.8, 0.8),))))[0]
    assert torch.equal(third.image, expected.image)
    with pytest.raises(PanoHeadError, match=r"3 heads were found in photo 1, so there is no head 4"):
        read_images([image], None, SIDE, heads=[4], tools=tools(faces))


def test_a_box_alone_chooses_the_head(image: Image.Image) -> None:
    faces = DrawnFaces(middles=((0.2, 0.3), (0.55, 0.5), (0.8, 0.8)))
    box = GivenPose(None, 0.0, 0.0, (200.0, 200.0, 320.0, 320.0))
    chosen = read_images([image], None, SIDE, poses=[box], tools=tools(faces))[0]
    expected = read_images([image], None, SIDE, tools=tools(DrawnFaces(middles=((0.8, 0.8),))))[0]
    assert torch.equal(chosen.image, expected.image)
    with pytest.raises(PanoHeadError, match="no head was found in photo 1"):
        read_images([image], None, SIDE, poses=[box], tools=tools(NO_FACES))


class Body:
    """A person from the side, in an image and mirrored in its mirror image."""

    sign = 1.0

    def body(self, image: np.ndarray) -> np.ndarray:
        self.sign = -self.sign
        head = np.zeros((33, 4))
        head[[0, 7, 8]] = [[-self.sign * 10, 0, 0, 1], [0, 0, self.sign * 7, 1], [0, 0, -self.sign * 7, 1]]
        head[[11, 12], 1] = 0.3 * image.shape[0]
        head[:, :2] += (image.shape[1] / 2, image.shape[0] / 2)
        return head


class SmallOval:
    """A head in the middle of an image, whatever it is."""

    def mask(self, image: np.ndarray) -> np.ndarray:
        y, x = np.mgrid[-1 : 1 : image.shape[0] * 1j, -1 : 1 : image.shape[1] * 1j]
        return ((x / 0.35) ** 2 + (y / 0.45) ** 2 < 1).astype(np.float64)


def test_without_a_face_a_body_is_a_labeled_guess_and_an_outline_none(image: Image.Image) -> None:
    chosen = tools(NO_FACES)
    chosen.body, chosen.masker = Body(), SmallOval()
    photo = read_images([image], None, SIDE, tools=chosen)[0]
    assert photo.kind == "coarse"
    assert [r for r in photo.notes if "The camera is a guess (body landmarks and outline): a yaw of 90 degrees" in r]
    chosen.masker = NoOutline()
    with pytest.raises(PanoHeadError, match="a face up to about 60 degrees from the front; of a profile the shoulders"):
        read_images([image], None, SIDE, tools=chosen)
    with pytest.raises(PanoHeadError, match=r"by outline alone, .* a confidence of 0.10 and needs 0.15; give a photo"):
        read_images([image], None, SIDE, tools=tools(NO_FACES))


def test_a_photo_of_a_wall_is_refused(image: Image.Image) -> None:
    with pytest.raises(PanoHeadError, match=r"no head was found in photo 1; give a photo that shows one"):
        read_images([image], None, SIDE, tools=tools(NO_FACES, NoOutline()))


def test_a_back_goes_by_the_angles_that_are_given(image: Image.Image) -> None:
    boxed, free = GivenPose(170.0, 10.0, 0.0, (80, 60, 240, 250)), GivenPose(-160.0, 0.0, 0.0)
    photos = read_images([image] * 2, None, SIDE, poses=[boxed, free], tools=tools(NO_FACES))
    assert [photo.kind for photo in photos] == ["angles", "angles"]
    for photo, angles in zip(photos, [(170, 10), (-160, 0)], strict=False):
        assert orbit_of_view(view_of_camera(photo.camera))[:2] == pytest.approx(angles, abs=0.01)
    nothing_to_see = tools(NO_FACES, NoOutline())
    assert read_images([image], None, SIDE, poses=[boxed], tools=nothing_to_see)[0].kind == "angles"
    with pytest.raises(PanoHeadError, match="its angles and box with --poses"):
        read_images([image], None, SIDE, poses=[free], tools=nothing_to_see)


def test_a_box_is_in_the_pixels_of_the_file(tmp_path: Path) -> None:
    """Photos of more than 6000 pixels are shrunk when they are read."""
    image = drawn_photo(3)[0]
    image.save(tmp_path / "small.png")
    image.resize((9600, 9600), Image.Resampling.NEAREST).save(tmp_path / "large.png", compress_level=1)
    boxes = [(80.0, 60.0, 240.0, 250.0), (2400.0, 1800.0, 7200.0, 7500.0)]
    small, large = read_images(
        [tmp_path / "small.png", tmp_path / "large.png"],
        None,
        SIDE,
        poses=[GivenPose(0.0, 0.0, 0.0, box) for box in boxes],
        tools=tools(NO_FACES),
    )
    assert float((small.image - large.image).abs().mean()) < 0.03
    assert [note for note in large.notes if "shrunk by 1.60" in note]


def test_a_face_without_outline_is_kept_whole(image: Image.Image) -> None:
    photo = read_images([image], None, SIDE, tools=tools(masker=NoOutline()))[0]
    assert photo.mask is None
    assert [r for r in photo.notes if "background and head are not told apart" in r]


@pytest.mark.parametrize("faces", [tools(), tools(NO_FACES)])
def test_sixteen_pixels_are_too_few(image: Image.Image, faces: Detectors) -> None:
    with pytest.raises(PanoHeadError, match=r"photo 1 has 16 x 16 pixels; a head needs at least 48"):
        read_images([image.resize((16, 16))], None, SIDE, tools=faces)


def test_gray_and_transparent_arrays_are_photos_too(image: Image.Image) -> None:
    rgb = np.array(image)
    opaque = np.dstack([rgb, np.full(rgb.shape[:2], 255, np.uint8)])
    clear = np.dstack([rgb, np.zeros(rgb.shape[:2], np.uint8)])
    clear[100:200, 100:200, 3] = 255
    assert torch.equal(crop(opaque).image, crop(rgb).image)
    assert crop(clear).image[:, 0, 0].tolist() == [1, 1, 1], "transparent is white"
    gray = crop(np.array(image.convert("L")))
    assert torch.equal(gray.image[0], gray.image[2])
    assert gray.notes == ("The photo is gray, so the head will be gray where it shows it.",)


@pytest.mark.parametrize(
    ("change", "described"),
    [
        (lambda a: a.astype(np.float32) / 255, "an array of float32, 320 x 320 x 3"),
        (lambda a: a.astype(np.uint16), "an array of uint16, 320 x 320 x 3"),
        (lambda a: a.transpose(2, 0, 1), "an array of uint8, 3 x 320 x 320"),
        (lambda a: a[None], "an array of uint8, 1 x 320 x 320 x 3"),
        (lambda a: a.ravel(), "an array of uint8, 307200"),
    ],
)
def test_other_arrays_are_described(
    image: Image.Image, change: Callable[[np.ndarray], np.ndarray], described: str
) -> None:
    with pytest.raises(PanoHeadError, match=f"photo 1 is {described}; give height x width x 3 of uint8"):
        crop(change(np.array(image)))


def test_deep_and_turned_files_are_read_as_they_are_meant(image: Image.Image, tmp_path: Path) -> None:
    gray = np.array(image.convert("L"))
    Image.fromarray(gray.astype(np.uint16) * 257).save(tmp_path / "deep.png")
    # Samples of 16 bits are rounded once more.
    torch.testing.assert_close(crop(tmp_path / "deep.png").image, crop(gray).image, atol=2 / 255, rtol=0)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise by a quarter
    image.rotate(90).save(tmp_path / "turned.png", exif=exif)
    assert torch.equal(crop(tmp_path / "turned.png").image, crop(image).image)
    with Image.open(tmp_path / "turned.png") as opened:
        assert torch.equal(crop(opened).image, crop(image).image)


def test_the_same_photo_twice_gets_a_note(image: Image.Image) -> None:
    other = drawn_photo(2)[0]
    photos = read_images([image, other, image], [FRONT] * 3, SIDE)
    assert [photo.notes for photo in photos] == [(), (), ("The same image as photo 1; it adds nothing.",)]


def test_masks_are_checked(image: Image.Image, tmp_path: Path) -> None:
    inside = np.zeros((320, 320), bool)
    inside[80:240, 80:240] = True
    as_bool = crop(image, masks=[inside]).mask
    assert as_bool is not None
    as_bytes = crop(image, masks=[inside.astype(np.uint8) * 255]).mask
    assert as_bytes is not None
    assert torch.equal(as_bool, as_bytes)
    for wrong, sentence in (
        (np.zeros((320, 320), np.uint8), "it is empty"),
        (inside.astype(np.uint8), "its values are 0 and 1"),
        (np.full((320, 320), 255, np.uint8), "it is full"),
        (~inside, "it seems to be inverted"),
        (inside[:160], "it has 320 x 160 pixels and the image 320 x 320; it seems to be of another image"),
        (np.array(image.convert("L")), "it seems to be a image"),
        (np.roll(inside, 150, axis=1) & ~inside, "it seems to be inverted, or of another image"),
    ):
        with pytest.raises(PanoHeadError, match=f"the mask of photo 1 cannot be used: .*{sentence}"):
            crop(image, masks=[wrong])
    with pytest.raises(PanoHeadError, match="the mask of photo 1 is an array of float64, 320 x 320; give"):
        crop(image, masks=[inside.astype(np.float64)])
    with pytest.raises(PanoHeadError, match=r"none\.png cannot be read .No such file"):
        crop(image, masks=[tmp_path / "none.png"])
    with pytest.raises(PanoHeadError, match="1 photos and 2 masks were given; give one for each"):
        crop(image, masks=[inside, inside])


def test_an_own_mask_of_a_whole_photo_is_cut_with_it(image: Image.Image) -> None:
    own = np.zeros((160, 160), np.uint8)  # half the photo's size, which does not matter
    own[:, :80] = 255
    photo = read_images([image], None, SIDE, masks=[own], tools=tools(masker=NoOutline()))[0]
    assert photo.mask is not None
    assert photo.mask[0, 32, 8] == 1
    assert photo.mask[0, 32, -8] == 0
    assert abs(float((photo.mask[0, 32] > 0.5).sum()) - 32) <= 1, "the face's middle is the photo's"


@pytest.mark.parametrize(
    ("turn_deg", "label_deg", "mismatched"),
    [(0, 0, False), (0, 20, False), (40, 25, False), (40, -40, True), (0, 90, True), (0, 180, True), (-30, 20, True)],
)
def test_a_label_of_another_view_is_noticed(
    image: Image.Image, turn_deg: int, label_deg: int, mismatched: bool
) -> None:
    found = refuse_mismatch(np.array(image), Camera.orbit(label_deg), tools(framed_faces(turn_deg)), "me.png")
    assert (found is not None) == mismatched
    if found is not None:
        said = f"says yaw {label_deg}, pitch 0 degrees, but its face is seen from about yaw {turn_deg}, pitch"
        assert said in found.replace("-180", "180").replace("-0", "0")


def test_a_crop_without_a_face_goes_with_any_label(image: Image.Image) -> None:
    assert refuse_mismatch(np.array(image), Camera.orbit(180), tools(NO_FACES), "me.png") is None


QUICK = ("--frames", "1", "--mesh", "stl", "--mesh-resolution", "16", "--steps", "1", "--tuning-steps", "0")


@pytest.mark.usefixtures("short_search")
def test_the_command_tells_of_a_wrong_label_before_it_begins(
    folder: Path,
    tmp_path: Path,
    image: Image.Image,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Reconstruct, "tools", lambda _: tools(framed_faces(60)))
    image.save(tmp_path / "me.png")
    arguments = ["reconstruct", str(tmp_path / "me.png"), "--checkpoint", str(folder / "tiny.safetensors")]
    labeled = ["--aligned", "--labels", str(folder / "dataset.json"), "--out", str(tmp_path / "out")]
    assert main([*arguments, *labeled, *QUICK]) == 0
    output = " ".join(capsys.readouterr().err.split())
    assert "me.png: Its label says yaw 10, pitch 0 degrees, but its face is seen from about yaw 60" in output
    assert "Its label says yaw 10" in (tmp_path / "out" / "report.html").read_text()


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda path, image: image.resize((16, 16)).save(path), "me.png has 16 x 16 pixels"),
        (lambda path, _: Image.new("RGB", (200, 200), "white").save(path), "no head was found in me.png"),
        (lambda path, _: path.write_bytes(b"GIF89a, or not"), "me.png is no usable photo"),
        (lambda path, _: path.mkdir(), "me.png is a folder; give the photos in it"),
        (lambda path, _: None, "me.png; check the path"),
    ],
)
def test_the_command_refuses_in_one_sentence(
    folder: Path,
    tmp_path: Path,
    image: Image.Image,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    spoil: Callable[[Path, Image.Image], object],
    sentence: str,
) -> None:
    monkeypatch.setattr(Reconstruct, "tools", lambda _: tools(masker=NoOutline()))
    spoil(tmp_path / "me.png", image)
    arguments = ["reconstruct", str(tmp_path / "me.png"), "--checkpoint", str(folder / "tiny.safetensors")]
    assert main([*arguments, "--out", str(tmp_path / "out")]) == 1
    output = capsys.readouterr().err
    assert sentence in output
    assert "Traceback" not in output


def test_uint8_of_a_render_is_a_crop(image: Image.Image) -> None:
    """An array from ``to_uint8`` is the same image again."""
    photo = crop(image.resize((SIDE, SIDE)))
    assert torch.equal(crop(to_uint8(photo.image)).image, photo.image)


def test_crops_of_other_pipelines_are_refused(image: Image.Image) -> None:
    """FFHQ's crops are closer; others have the face lower."""
    close = DrawnFaces(middles=((0.499, 0.5),), scale=1.6 * 11.93)
    with pytest.raises(
        PanoHeadError, match=r"is 1\.6 times as large.* compared with the official frame.*without --aligned"
    ):
        crop(image, tools=tools(close))
    low = DrawnFaces(middles=((0.499, 0.72),), scale=11.93)
    with pytest.raises(PanoHeadError, match=r"is 17% of the side lower, compared with the official frame"):
        crop(image, tools=tools(low))
    assert crop(image, tools=tools(framed_faces())).notes == ()


def test_crops_that_are_not_square_get_a_note(image: Image.Image) -> None:
    (note,) = crop(image.crop((0, 30, 320, 290))).notes
    assert note.startswith("The crop has 320 x 260 pixels, and crops in the official frame are square")
    assert crop(image.crop((0, 0, 320, 319))).notes == ()


def test_cameras_of_other_conventions_are_refused_and_named(image: Image.Image) -> None:
    opengl = FRONT.cam2world @ torch.diag(torch.tensor([1.0, -1.0, -1.0, 1.0]))
    with pytest.raises(
        PanoHeadError, match=r"OpenGL: y up.*convert LABELS\.json --cameras-from opengl --out NEW\.json"
    ):
        read_images([image], [Camera(opengl, FRONT.intrinsics)], SIDE)
    pixels = FRONT.intrinsics * torch.tensor([[512.0], [512.0], [1.0]])
    with pytest.raises(PanoHeadError, match=r"focal length.*divide pixels by the image size"):
        read_images([image], [Camera(FRONT.cam2world, pixels)], SIDE)


def test_what_is_beyond_the_photo_is_no_evidence(image: Image.Image) -> None:
    """The left quarter of the photo gone, and with it a part of the head: no mask there, and a note."""
    faces = DrawnFaces(middles=((0.1, 0.5),))
    cut = read_images([image], None, SIDE, tools=tools(faces))[0]
    assert cut.inside is not None
    assert cut.mask is not None
    assert cut.inside[0, 32, :8].max() == 0
    assert cut.mask[0, 32, :8].max() == 0
    assert [note for note in cut.notes if "of the head lies outside the photo (left)" in note]
    whole = read_images([image], None, SIDE, tools=tools())[0]
    assert whole.inside is None
    assert not [note for note in whole.notes if "outside the photo" in note]


def test_crops_that_prepare_made_keep_what_is_beyond_the_photo(image: Image.Image) -> None:
    corners = np.array([[0.25, -0.1], [0.25, 1.2], [1.5, 1.2], [1.5, -0.1]])
    mask = np.full((320, 320), 255, np.uint8)
    mask[:40] = 0
    photo = crop(image, corners=[corners], masks=[mask])
    assert photo.inside is not None
    assert photo.mask is not None
    assert photo.inside[0, 30].tolist() == [0.0] * 16 + [1.0] * 48
    assert photo.mask[0, 30, :16].max() == 0
    assert photo.mask[0, 30, 20:].min() > 0.99
