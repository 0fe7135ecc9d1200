"""The route that an alignment takes, with stand-ins for the models; quality gates, hashes, masks, overlays."""

from typing import Any

import numpy as np
import pytest
from PIL import Image

from alignment.test_pose_network import FakeNetwork, whenet_outputs
from panohead.alignment.angles import view_of_orbit
from panohead.alignment.body_pose import LEFT_EAR, LEFT_SHOULDER, NOSE, RIGHT_EAR, RIGHT_SHOULDER
from panohead.alignment.canonical_face import canonical_face
from panohead.alignment.crop import HeadCrop
from panohead.alignment.detectors import Detectors
from panohead.alignment.face_landmarks import shrunk
from panohead.alignment.head_alignment import align_all, align_face, align_image
from panohead.alignment.head_box import HeadDetector
from panohead.alignment.mask_check import examine_mask
from panohead.alignment.overlay import overlay
from panohead.alignment.person_mask import OnnxMasker
from panohead.alignment.photo_mask import find_own_mask
from panohead.alignment.pose_file import GivenPose
from panohead.alignment.pose_network import PoseModel
from panohead.alignment.quality import CropFacts, QualityGates, face_visible, flags, gate, sharpness
from panohead.data.duplicates import image_hash, repeated
from panohead.errors import PanoHeadError, UsageError
from panohead.preparation.sources import list_photos

SHAPE = (480, 640, 3)
IMAGE = np.zeros(SHAPE, dtype=np.uint8)


class Faces:
    def __init__(self, *poses: tuple[float, float, float, float]) -> None:
        """Each pose: yaw, scale, x, y."""
        self.found = []
        for yaw, scale, x, y in poses:
            view = canonical_face() @ view_of_orbit(yaw, 0.0, 0.0).T
            self.found.append(np.concatenate([view[:, :2] * [scale, -scale] + [x, y], -scale * view[:, 2:]], axis=1))

    def faces(self, image: np.ndarray, most: int) -> list[np.ndarray]:
        return self.found[:most]


class Body:
    """Answers for the image and then for its mirror image."""

    def __init__(self, yaw: float | None, mirrored: float | None = None) -> None:
        self.yaw, self.next = yaw, yaw if mirrored is None else mirrored
        self.sign = 1.0

    def body(self, image: np.ndarray) -> np.ndarray | None:
        if self.yaw is None:
            return None
        yaw = self.sign * self.yaw
        self.sign, self.yaw, self.next = -self.sign, self.next, self.yaw
        head = np.zeros((33, 3))
        head[NOSE], head[LEFT_EAR], head[RIGHT_EAR] = (0, 0, 10), (7, 0, 0), (-7, 0, 0)
        # In the middle of windows, at the oval in the photo, and mirrored in its mirror image.
        is_window = image.shape == (512, 512, 3)
        x = image.shape[1] / 2 if is_window else 300 if self.sign < 0 else image.shape[1] - 1 - 300
        head[[LEFT_SHOULDER, RIGHT_SHOULDER]] = (0, -100, 0)
        place = [x, 256 if is_window else 200, 0]
        return np.concatenate([(head @ view_of_orbit(yaw, 0, 0).T) * [1, -1, -1] + place, np.ones((33, 1))], axis=1)


class Oval:
    """A head at (300, 200) of the photo, and in the middle of windows."""

    def __init__(self, person: bool = True) -> None:
        self.person = person

    def mask(self, image: np.ndarray) -> np.ndarray:
        y, x = np.mgrid[0 : image.shape[0], 0 : image.shape[1]] / (image.shape[0] / 480)
        column, row = (240, 240) if image.shape == (512, 512, 3) else (300, 200)
        return self.person * ((((x - column) / 60) ** 2 + ((y - row) / 80) ** 2) < 1).astype(float)


def detectors(*faces: Any, yaw: float | None = None, person: bool = True, **models: Any) -> Detectors:
    return Detectors(Faces(*faces), Body(yaw), Oval(person), **models)


def test_the_largest_face_comes_first_and_of_equal_ones_the_most_central() -> None:
    found = align_all(IMAGE, detectors((0, 6, 100, 240), (10, 7, 350, 260), (20, 1.5, 320, 240)))
    assert [round(one.angles_deg[0]) for one in found] == [10, 0, 20]
    best = align_image(IMAGE, detectors((0, 6, 100, 240), (10, 7, 350, 260)))
    assert best is not None
    assert best.kind == "face"


def test_no_person_is_no_head() -> None:
    assert align_image(IMAGE, detectors(person=False)) is None
    assert align_all(IMAGE, detectors(person=False, yaw=90.0)) == []


def test_a_profile_takes_the_body() -> None:
    found = align_image(IMAGE, detectors(yaw=95.0))
    assert found is not None
    assert (found.kind, round(found.angles_deg[0])) == ("coarse", 95)
    assert found.crop.center[0] == pytest.approx(300, abs=15)
    outline = align_image(IMAGE, detectors())
    assert outline is not None
    assert outline.confidence < found.confidence
    assert gate(outline, facts(), QualityGates()).startswith("pose unsure")


@pytest.mark.parametrize(
    ("straight", "mirrored", "yaw", "confidence"),
    [(90.0, 80.0, 85.0, 0.35), (90.0, 130.0, 110.0, 0.2), (-70.0, -110.0, -90.0, 0.2), (170.0, -170.0, 180.0, 0.2)],
)
def test_body_is_measured_both_ways(straight: float, mirrored: float, yaw: float, confidence: float) -> None:
    chosen = detectors()
    chosen.body = Body(straight, mirrored)
    found = align_image(IMAGE, chosen)
    assert found is not None
    assert (found.angles_deg[0] - yaw + 180) % 360 - 180 == pytest.approx(0, abs=0.01)
    assert found.confidence == confidence


def test_a_body_that_its_mirror_image_denies_is_left_out() -> None:
    chosen = detectors()
    chosen.body = Body(80.0, -80.0)
    found = align_image(IMAGE, chosen)
    assert found is not None
    assert gate(found, facts(), QualityGates()).startswith("pose unsure")

    class Once(Body):
        def body(self, image: np.ndarray) -> np.ndarray | None:
            found, self.yaw, self.next = super().body(image), None, None
            return found

    chosen.body = Once(80.0)
    found = align_image(IMAGE, chosen)
    assert found is not None
    assert gate(found, facts(), QualityGates()).startswith("pose unsure")


def test_an_outline_elsewhere_than_the_body_is_no_head() -> None:
    """The mask of a whole photo holds furniture: what the body's landmarks do not confirm is refused."""

    class Elsewhere(Oval):
        def mask(self, image: np.ndarray) -> np.ndarray:
            return super().mask(image) if image.shape[:2] != (512, 512) else np.eye(512)

    chosen = detectors(yaw=95.0)
    chosen.masker = Elsewhere()
    found = align_image(IMAGE, chosen)
    assert found is not None
    assert found.method == "outline apart from the body landmarks"
    assert gate(found, facts(), QualityGates()).startswith("pose unsure")


@pytest.mark.parametrize(
    ("shown", "confidence"),
    [(np.s_[:], 0.2), (np.s_[:290], 0.2), (np.s_[:210], 0.1), (np.s_[:, :300], 0.1), (np.s_[200:], 0.1)],
)
def test_a_head_that_the_photo_cuts_is_no_back(shown: Any, confidence: float) -> None:
    """Hair and forehead alone show no face either; the landmarks of the body below are made up."""

    class Fixed(Body):
        def body(self, image: np.ndarray) -> np.ndarray | None:
            """The landmarks of the whole photo, wherever the part of it lies in that."""
            whole = super().body(image if image.shape == (512, 512, 3) else IMAGE)
            if whole is not None and image.shape != (512, 512, 3):
                whole[:, 0] -= left if self.sign < 0 else SHAPE[1] - left - image.shape[1]
                whole[:, 1] -= top
            return whole

    rows, columns = shown if isinstance(shown, tuple) else (shown, slice(None))
    top, left = rows.start or 0, columns.start or 0
    chosen = detectors(yaw=180.0)
    chosen.body = Fixed(180.0)
    found = align_image(IMAGE[shown], chosen)
    assert found is not None
    assert found.confidence == confidence
    assert found.is_sure == (confidence > 0.1)
    assert found.method.endswith("of a head that the photo cuts") != found.is_sure
    np.testing.assert_allclose(np.add(found.crop.center, (left, top)), (300, 200), atol=15)


def test_a_face_upside_down_on_a_body_that_stands_is_none() -> None:
    hanging = Faces((0, 6, 300, 200))
    hanging.found = [face * [1, -1, -1] + [0, 400, 0] for face in hanging.found]
    hanging.found = [face * [-1, 1, -1] + [600, 0, 0] for face in hanging.found]
    chosen = detectors(yaw=95.0)
    chosen.faces = hanging
    found = align_image(IMAGE, chosen)
    assert found is not None
    assert (found.method, round(found.angles_deg[0])) == ("body landmarks and outline", 95)
    chosen.body = None
    alone = align_image(IMAGE, chosen)
    assert alone is not None
    assert abs(alone.crop.angle_deg) == pytest.approx(180, abs=15), "a photo of a face alone may hang upside down"


def test_a_face_from_the_side_gives_way_to_a_pose_model() -> None:
    sideways = (60.0, 6.0, 300.0, 240.0)
    without = align_image(IMAGE, detectors(sideways))
    assert without is not None
    assert without.method == "face landmarks"
    network = FakeNetwork([1, 3, 224, 224], *whenet_outputs(75.0, -10.0, 0.0))
    found = align_image(IMAGE, detectors(sideways, pose=PoseModel(network, "whenet")))
    assert found is not None
    np.testing.assert_allclose(found.angles_deg, (75.0, 10.0, 0.0), atol=0.2)
    assert (found.kind, found.method) == ("coarse", "pose model")
    frontal = align_image(IMAGE, detectors((5.0, 6.0, 300.0, 240.0), pose=PoseModel(network, "whenet")))
    assert frontal is not None
    assert frontal.kind == "face"


def test_models_find_box_and_tilt() -> None:
    table = np.concatenate([[[320, 250, 100, 130, 0.9]], np.zeros((40, 5))]).T[None]
    network = FakeNetwork([1, 3, 224, 224], *whenet_outputs(150.0, 0.0, -20.0))
    models = {"head": HeadDetector(FakeNetwork([1, 3, 640, 640], table)), "pose": PoseModel(network, "whenet")}
    found = align_image(IMAGE, detectors(**models))
    assert found is not None
    yaw, pitch, roll = found.angles_deg
    assert yaw == pytest.approx(150.0, abs=8.0)
    assert roll == pytest.approx(0.0, abs=0.01), "the crop is turned upright, the label has no tilt"
    assert abs(found.crop.angle_deg) == pytest.approx(20.0, abs=3.0)
    assert found.crop.half_px == pytest.approx(130 / 0.99 / 2)
    assert abs(pitch) < 20


@pytest.mark.parametrize("has_pose_model", [True, False])
def test_a_person_seen_from_behind_does_not_lose_to_a_smaller_face(has_pose_model: bool) -> None:
    """The head model's boxes around no face count by their size, as faces do, and have numbers."""
    bystander, small = (10.0, 2.0, 100.0, 240.0), 20
    heads = [[320, 250, 150, 200, 0.5], [550, 100, small, small, 0.9], [100, 240, 40, 52, 0.9]]
    table = np.concatenate([heads, np.zeros((40, 5))]).T[None]
    network = FakeNetwork([1, 3, 224, 224], *whenet_outputs(150.0, 0.0, 0.0))
    models = {"head": HeadDetector(FakeNetwork([1, 3, 640, 640], table))}
    if has_pose_model:
        models["pose"] = PoseModel(network, "whenet")
    found = align_all(IMAGE, detectors(bystander, yaw=150.0, **models))
    assert [round(one.crop.center[0]) for one in found] == [320, pytest.approx(100, abs=8), 550]
    assert (found[0].kind, found[1].kind) == ("coarse", "face")
    assert found[0].angles_deg[0] == pytest.approx(150.0, abs=8.0)
    assert found[0].crop.half_px == pytest.approx(200 / 0.99 / 2)


def test_a_face_from_the_side_is_measured_in_its_own_box() -> None:
    sideways = (60.0, 6.0, 300.0, 240.0)
    table = np.concatenate([[[60, 60, 20, 26, 0.9], [300, 240, 120, 150, 0.5]], np.zeros((40, 5))]).T[None]
    network = FakeNetwork([1, 3, 224, 224], *whenet_outputs(75.0, 0.0, 0.0))
    models = {"head": HeadDetector(FakeNetwork([1, 3, 640, 640], table)), "pose": PoseModel(network, "whenet")}
    first, second = align_all(IMAGE, detectors(sideways, **models))
    assert (first.method, first.crop.half_px) == ("pose model", pytest.approx(150 / 0.99 / 2))
    assert second.crop.center[0] == pytest.approx(60)


def test_a_face_of_which_the_photo_shows_half_is_a_guess() -> None:
    """The same where the photo ends in a black bar: the landmarks are those of the photo without it."""
    photo = np.random.default_rng(0).integers(50, 255, SHAPE, dtype=np.uint8)
    whole, half = align_all(photo, detectors((5, 8, 300, 200))), align_all(photo, detectors((5, 8, 2, 200)))
    assert [whole[0].kind, half[0].kind] == ["face", "coarse"]
    assert half[0].confidence == pytest.approx(whole[0].confidence / 2)
    photo[:, :100] = 0
    barred = align_all(photo, detectors((5, 8, 2, 200)))
    assert barred[0].kind == "coarse"
    np.testing.assert_allclose(barred[0].crop.center, np.add(half[0].crop.center, (100, 0)))


def test_a_box_beside_the_photo_is_refused() -> None:
    for yaw in (None, 90.0):
        with pytest.raises(PanoHeadError, match=r"box beside the photo: it is 700 .* 640 x 480 pixels; give left top"):
            align_image(IMAGE, detectors(), GivenPose(yaw, 0, 0, (700, 0, 900, 200)))
    assert GivenPose(0, 0, 0, (600, 0, 900, 200)).beside(SHAPE) == ""
    for box in ((300, 200, 100, 20), (5, 5, 5, 9), (0, 0, float("nan"), 5)):
        with pytest.raises(UsageError, match="box"):
            GivenPose(0, 0, 0, box)


def test_the_users_pose_wins() -> None:
    given = GivenPose(-135.0, 12.0, 20.0, (200.0, 100.0, 320.0, 260.0))
    found = align_image(IMAGE, detectors((0, 6, 300, 240)), given)
    assert found is not None
    np.testing.assert_allclose(found.angles_deg, (-135.0, 12.0, 0.0), atol=1e-4)
    assert (found.kind, found.crop.angle_deg, found.confidence) == ("given", 20.0, 1.0)
    boxless = align_image(IMAGE, detectors(), GivenPose(180.0, 0.0, 0.0))
    assert boxless is not None
    assert boxless.crop.center[0] == pytest.approx(300, abs=5)
    assert align_image(IMAGE, detectors(person=False), GivenPose(180.0, 0.0, 0.0)) is None


def facts(**changes: Any) -> CropFacts:
    mask = examine_mask(np.pad(np.ones((30, 30)), 10))
    good = {"core_px": 400.0, "sharpness": 100.0, "outside": 0.0, "face_visible": 1.0, "mask": mask}
    return CropFacts(**{**good, **changes})


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, ""),
        ({"core_px": 90.0}, "too small"),
        ({"sharpness": 2.0}, "blurred"),
        ({"outside": 0.5}, "head cut off"),
        ({"face_visible": 0.4}, "face covered"),
        ({"mask": examine_mask(np.zeros((20, 20)))}, "mask nearly empty"),
        ({"mask": examine_mask(np.ones((20, 20)))}, "mask nearly full"),
    ],
)
def test_every_gate_shuts(changes: dict[str, Any], reason: str) -> None:
    alignment = align_face(Faces((10, 8, 300, 200)).found[0])
    assert gate(alignment, facts(**changes), QualityGates()).split(":")[0] == reason


def test_gates_of_the_pose() -> None:
    good = Faces((10, 8, 300, 200)).found[0]
    wild = good + np.random.default_rng(0).normal(0, 25, good.shape)
    assert gate(align_face(wild), facts(), QualityGates()).startswith("landmarks do not fit")
    tilted = align_face(good[:, [1, 0, 2]] * [-1, 1, 1])
    assert gate(tilted, facts(), QualityGates()).startswith("tilted")


def test_flags() -> None:
    pieces = np.zeros((50, 50))
    pieces[5:25, 5:25] = pieces[30:45, 30:45] = 1
    examined = examine_mask(pieces)
    assert examined.pieces == 2
    assert examined.largest == pytest.approx(400 / 625)
    found = flags(align_face(Faces((60, 8, 300, 200)).found[0]), facts(core_px=200.0, mask=examined))
    assert found == ["enlarged", "mask in several pieces", "mask scattered", "coarse camera"]


def test_sharpness_falls_with_blur() -> None:
    sharp = np.random.default_rng(0).integers(0, 255, (300, 300, 3), dtype=np.uint8)
    soft = np.asarray(Image.fromarray(sharp).resize((20, 20)).resize((300, 300), Image.Resampling.BICUBIC))
    assert sharpness(sharp) > 20 * sharpness(soft)


def test_hashes_know_copies() -> None:
    rng = np.random.default_rng(1)
    images = [
        Image.fromarray(rng.integers(0, 255, (12, 12, 3), dtype=np.uint8)).resize((256, 256), Image.Resampling.BICUBIC)
        for _ in range(40)
    ]
    hashes = {f"{i:02d}": image_hash(np.asarray(p)) for i, p in enumerate(images)}
    assert repeated(hashes, 3) == {}
    hashes["99"] = image_hash(np.asarray(images[7].resize((130, 130)).point(lambda v: v * 0.8)))
    assert repeated(hashes, 3) == {"99": "07"}
    assert repeated(hashes, -1) == {}


def test_search_for_copies_equals_comparing_all() -> None:
    rng = np.random.default_rng(2)
    values = [int(v) for v in rng.integers(0, 2**63, 30)]
    for value in values[:30]:
        values.append(value ^ sum(1 << int(b) for b in rng.choice(64, int(rng.integers(0, 7)), replace=False)))
    hashes = {f"{i}": f"{v:016x}" for i, v in enumerate(values)}
    for bits in (0, 2, 5):
        kept: list[str] = []
        for name, value in hashes.items():
            if all((int(value, 16) ^ int(hashes[other], 16)).bit_count() > bits for other in kept):
                kept.append(name)
        assert set(hashes) - set(repeated(hashes, bits)) == set(kept)


def test_face_visible_counts_landmarks() -> None:
    mask = np.zeros((100, 100))
    mask[:, :50] = 1
    points = np.zeros((468, 3))
    points[:117, 0] = 80
    assert face_visible(mask, points) == pytest.approx(0.75)


def test_matting_networks_are_stretched_and_scaled() -> None:
    network = FakeNetwork([1, 3, 320, 320], np.linspace(-3, 5, 320 * 320).reshape(1, 1, 320, 320))
    mask = OnnxMasker(network).mask(np.full((40, 60, 3), 100, dtype=np.uint8))
    assert mask.shape == (40, 60)
    assert mask.min() < 0.02
    assert mask.max() > 0.98
    assert network.received.max() == pytest.approx((1 - 0.406) / 0.225, rel=1e-2), "divided by the brightest value"


def test_own_masks_stay_in_their_folder(tmp_path: Any) -> None:
    (tmp_path / "masks").mkdir()
    for path in (tmp_path / "secret.png", tmp_path / "masks" / "a.png"):
        Image.new("L", (4, 4)).save(path)
    assert str(find_own_mask(tmp_path / "masks", "photos/a.jpg")) == str(tmp_path / "masks" / "a.png")
    assert find_own_mask(tmp_path / "masks", "../secret.jpg") is None


def test_overlay_shows_box_and_nose() -> None:
    image = np.full((400, 500, 3), 128, dtype=np.uint8)
    alignment = align_face(Faces((30, 8, 250, 200)).found[0])
    shown = np.asarray(overlay(image, alignment, np.ones((563, 563)), accepted=True)).astype(int)
    blue = np.argwhere(shown[..., 2] - shown[..., 0] > 100)
    red = np.argwhere(shown[..., 0] - shown[..., 1] > 100)
    assert blue[:, 1].mean() < red[:, 1].mean(), "from the left, the nose points to the left of the image"
    assert np.asarray(overlay(image, None, None, accepted=False)).shape == (256, 320, 3)


def test_shrinking() -> None:
    assert shrunk(IMAGE, 1.0) is IMAGE
    assert shrunk(IMAGE, 2.0).shape == (240, 320, 3)
    assert HeadCrop((0.0, 0.0), 1.0, 0.0).core_corners().shape == (4, 2)
    assert callable(list_photos)
