"""Poses against cameras, previews that keep up, layers against plain references, heads by choice."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

import tiny
from panohead.checkpoint import Checkpoint
from panohead.errors import PanoHeadError, UsageError
from panohead.frame import Frame
from panohead.geometry import FOCAL, RADIUS, Camera, rays_from_camera
from panohead.head import Head
from panohead.inversion import find_preset
from panohead.predictor import Predictor
from panohead.viewer import exports
from panohead.viewer.choices import HeadChoice, Pose, ViewChoice, ViewRequest
from panohead.viewer.exports import image_file, mesh_file, turntable_file
from panohead.viewer.heads import CACHED_HEADS, KEPT_PER_TAB, KNOWN_HEADS, HeadShelf
from panohead.viewer.jobs import Job, JobCancelled
from panohead.viewer.layers import backdrop, checker, compose, cover, normals_image
from panohead.viewer.photo_job import reconstruct_photo, save_in_library
from panohead.viewer.poses import camera_of, is_out_of_reach, label_text, pose_from, position_of, vertical_fov
from panohead.viewer.preview_size import PreviewSize

YAWS = st.floats(-179, 179)
PITCHES = st.floats(-85, 85)


@settings(max_examples=50, deadline=None)
@given(yaw=YAWS, pitch=PITCHES, zoom=st.floats(0.6, 3), target=st.tuples(*[st.floats(-2, 2)] * 3))
def test_a_browsers_camera_becomes_the_camera_at_its_direction(
    yaw: float, pitch: float, zoom: float, target: tuple[float, float, float]
) -> None:
    """Wherever the orbit's center was moved to: our camera looks from the same side, from its own sphere."""
    position = [a + b for a, b in zip(position_of(Pose(yaw_deg=yaw, pitch_deg=pitch, zoom=zoom)), target, strict=True)]
    pose = pose_from(position, target)
    assert (pose.yaw_deg, pose.pitch_deg, pose.zoom) == pytest.approx((yaw, pitch, zoom), abs=1e-6)
    camera = camera_of(pose)
    torch.testing.assert_close(camera.cam2world, Camera.orbit(yaw, pitch).cam2world, atol=1e-5, rtol=0)
    assert float(camera.position.norm()) == pytest.approx(RADIUS, abs=1e-5)
    assert float(camera.intrinsics[0, 0]) == pytest.approx(FOCAL * zoom, rel=1e-5)
    assert len(label_text(pose).split(",")) == 25


def test_the_axes_are_ours() -> None:
    """viser's camera at +x looks at the head's left side: yaw 90; above is positive pitch."""
    assert pose_from((RADIUS, 0, 0), (0, 0, 0)).yaw_deg == pytest.approx(90)
    assert pose_from((0, 0, -RADIUS), (0, 0, 0)).yaw_deg == pytest.approx(180)
    assert pose_from((0, RADIUS, RADIUS), (0, 0, 0)).pitch_deg == pytest.approx(45)
    above = pose_from((0, RADIUS, 0), (0, 0, 0))
    assert above.pitch_deg < 90, "at the pole itself yaw has no meaning"


@pytest.mark.parametrize("position", [(0, 0, 0), (math.nan, 0, 1), (math.inf, 0, 0)])
def test_a_camera_without_a_direction_is_refused(position: tuple[float, float, float]) -> None:
    with pytest.raises(UsageError, match="no direction"):
        pose_from(position, (0, 0, 0))


def test_a_mesh_covers_the_image() -> None:
    """A point at the head image's upper edge lies at the canvas's edge, in landscape; in portrait at its side."""
    assert math.tan(vertical_fov((1600, 900)) / 2) * FOCAL == pytest.approx(0.5)
    assert math.tan(vertical_fov((900, 1600)) / 2) * FOCAL * 900 / 1600 == pytest.approx(0.5)


@pytest.mark.parametrize(
    "wrong",
    [
        {"seed": -1}, {"seed": 2**32}, {"truncation_psi": math.nan}, {"blend": 1.01}, {"mixed_rows": (3, 2)},
        {"mixed_rows": (-1, 2)}, {"second_seed": 2**40},
    ],
)  # fmt: skip
def test_impossible_heads_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        HeadChoice(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("wrong", [{"layer": "x-ray"}, {"backdrop": "video"}, {"color": (0, 0, 256)}, {"color": (0,)}])
def test_impossible_views_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        ViewChoice(**wrong)  # type: ignore[arg-type]
    with pytest.raises(UsageError):
        ViewRequest(canvas=(0, 5))


@settings(deadline=None)
@given(ray_s=st.floats(1e-8, 1e-2), full=st.sampled_from([16, 32, 64, 128]))
def test_previews_keep_up_with_the_machine(ray_s: float, full: int) -> None:
    """The largest size that fits the time of a frame, from 16 rays per side to those of the full image."""
    size = PreviewSize(full, frame_s=0.04)
    for _ in range(40):
        rays = size.rays
        size.observe(rays, ray_s * rays**2)
    assert 16 <= size.rays <= full
    assert size.rays == 16 or ray_s * size.rays**2 <= 0.04
    assert size.rays == full or ray_s * (size.rays + 8) ** 2 >= 0.04 * 0.99


def _sphere_frame(side: int = 48, radius: float = 0.25) -> tuple[Frame, np.ndarray]:
    """A view of a sphere from yaw 40, pitch 20, with its exact depth, and its exact normals (3 x side x side)."""
    camera = Camera.orbit(40, 20)
    origins, directions = (x[0].double() for x in rays_from_camera(camera.expand(1), side))
    along = (origins * directions).sum(1)
    root = along**2 - (origins**2).sum(1) + radius**2
    mask = root > 0
    depth = -along - root.clamp_min(0).sqrt()
    normals = (origins + directions * depth[:, None]) / radius
    grid = depth.float().reshape(1, side, side)
    image = torch.zeros(3, side, side)
    frame = Frame(image, image, grid, mask.float().reshape(1, side, side), camera)
    return frame, normals.T.reshape(3, side, side).numpy()


def test_normals_are_those_of_the_surface() -> None:
    frame, exact = _sphere_frame()
    shown = np.asarray(normals_image(frame)).astype(float).transpose(2, 0, 1) / 127.5 - 1
    inner = np.hypot(*(np.mgrid[:48, :48] - 23.5)) < 12
    cosine = (shown * exact).sum(0)[inner]
    assert cosine.min() > 0.97
    assert (np.asarray(normals_image(frame))[0, 0] == 255).all(), "white where there is no head"


def test_the_canvas_keeps_its_shape_and_the_head_its_square() -> None:
    frame, _ = _sphere_frame()
    for canvas, expected in (((1600, 900), (320, 180)), ((500, 1000), (160, 320)), ((100, 100), (100, 100))):
        image = compose(frame, ViewChoice(layer="mask"), canvas, 320)
        assert image.size == expected
        seen = np.asarray(image.convert("L")) > 127
        assert seen.any(0).sum() == pytest.approx(seen.any(1).sum(), abs=2), "the sphere stays round"
        assert abs(np.flatnonzero(seen.any(0)).mean() - (expected[0] - 1) / 2) < 1.5


def test_the_models_background_goes_on_beside_the_image() -> None:
    frame, _ = _sphere_frame()
    image = frame.image.clone()
    image[:, :, [0, -1]] = 1.0  # a bright line at both sides, as generators make them
    pixels = np.asarray(compose(replace(frame, image=image), ViewChoice(), (400, 200), 400)).astype(int)
    assert np.abs(pixels[:, :100] - 127).max() <= 2, "the image's color, not the line's"
    assert np.abs(pixels[100, 100] - 127).max() <= 20, "the line fades"
    assert np.abs(pixels[100, 110:290] - 127).max() <= 2, "the head's own color"


def test_backgrounds_stand_behind_the_head_only() -> None:
    frame, _ = _sphere_frame()
    photo = Image.new("RGB", (30, 10), (10, 200, 30))
    views = {
        (10, 20, 30): ViewChoice(backdrop="color", color=(10, 20, 30)),
        (10, 200, 30): ViewChoice(backdrop="photo", photo="p"),
    }
    for color, view in views.items():
        pixels = np.asarray(compose(frame, view, (96, 48), 96, {"p": photo}.get))
        assert tuple(pixels[2, 2]) == color
        assert np.abs(pixels[24, 48].astype(int) - 127).max() <= 2, "the head's own color"
    plain = np.asarray(backdrop(ViewChoice(backdrop="checker"), (48, 24)))
    assert len(np.unique(plain)) == 2
    assert np.array_equal(plain, np.asarray(checker((48, 24))))
    assert np.array_equal(np.asarray(backdrop(ViewChoice(backdrop="photo", photo="gone"), (48, 24))), plain)


@settings(max_examples=20, deadline=None)
@example(size=(1, 41), photo=(1, 7))  # 7 / 41 x 41 is not 7 in floating point
@given(size=st.tuples(st.integers(1, 60), st.integers(1, 60)), photo=st.tuples(st.integers(1, 60), st.integers(1, 60)))
def test_photos_cover(size: tuple[int, int], photo: tuple[int, int]) -> None:
    assert cover(Image.new("RGB", photo, (1, 2, 3)), size).getextrema() == ((1, 1), (2, 2), (3, 3))


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return Predictor(tiny.generator())


def test_heads_are_those_of_the_predictor(predictor: Predictor) -> None:
    shelf = HeadShelf(predictor)
    first, second = predictor.sample(3, truncation_psi=0.5), predictor.sample(4, truncation_psi=0.5)
    choice = HeadChoice(seed=3, second_seed=4, truncation_psi=0.5)
    assert torch.equal(shelf.head(choice).ws, first.ws)
    blended = shelf.head(HeadChoice(seed=3, second_seed=4, truncation_psi=0.5, blend=0.25))
    assert torch.equal(blended.ws, torch.lerp(first.ws, second.ws, 0.25))
    mixed = shelf.head(HeadChoice(seed=3, second_seed=4, truncation_psi=0.5, mixed_rows=(1, 2))).ws
    assert torch.equal(mixed[:, 1:3], second.ws[:, 1:3])
    assert torch.equal(mixed[:, 3:], first.ws[:, 3:])
    assert shelf.head(choice) is shelf.head(HeadChoice(seed=3, second_seed=4, truncation_psi=0.5))
    with pytest.raises(UsageError, match="rows of ws"):
        shelf.head(HeadChoice(mixed_rows=(0, 1000)))
    with pytest.raises(UsageError, match="no attribute encoder"):
        shelf.head(HeadChoice(attributes=(("age", 1.0),)))


def test_memory_is_bounded_and_owners_are_apart(predictor: Predictor) -> None:
    shelf = HeadShelf(predictor)
    for seed in range(CACHED_HEADS + 5):
        shelf.head(HeadChoice(seed=seed))
    assert len(shelf._cache) == CACHED_HEADS
    head = predictor.sample(0)
    keys = [shelf.keep("tab 1", Head(head.generator, head.ws), "photo") for _ in range(KEPT_PER_TAB + 2)]
    other = shelf.keep("tab 2", Head(head.generator, head.ws), "photo")
    assert shelf.kept_by("tab 1") == keys[2:]
    assert shelf.kept_by("tab 2") == [other]
    with pytest.raises(PanoHeadError, match="no longer kept"):
        shelf.head(HeadChoice(saved=keys[0]))
    shelf.head(HeadChoice(saved=keys[-1]))
    photos = [shelf.keep_photo("tab 1", Image.new("RGB", (4, 4))) for _ in range(3)]
    assert [shelf.photo(key) is None for key in photos] == [True, True, False]
    shelf.leave("tab 1")
    assert shelf.kept_by("tab 1") == []
    assert shelf.photo(photos[-1]) is None
    assert not any(choice.saved for choice in shelf._cache)
    assert shelf.kept_by("tab 2") == [other]


@pytest.mark.parametrize("name", ["../secret", "a/../../secret", "/etc", "..", "a/b", "C:\\x", ""])
def test_no_name_leads_out_of_the_library(predictor: Predictor, tmp_path: Path, name: str) -> None:
    (tmp_path / "library" / "a" / "b").mkdir(parents=True)
    shelf = HeadShelf(predictor, tmp_path / "library")
    with pytest.raises(PanoHeadError):
        shelf.head(HeadChoice(saved=f"library:{name}"))


def attribute_predictor() -> Predictor:
    """The tiny generator with an untrained attribute encoder."""
    generator = tiny.generator()
    return Predictor(generator, Checkpoint({"G_ema": generator, "attributes": tiny.attribute_encoder()}))


def test_heads_with_attributes_are_those_of_the_api() -> None:
    predictor = attribute_predictor()
    shelf = HeadShelf(predictor)
    choice = HeadChoice(seed=2, truncation_psi=0.7, attributes=(("age", 70.0), ("beard", "full")))
    expected = predictor.sample(2, truncation_psi=0.7).with_attributes(age=70.0, beard="full")
    torch.testing.assert_close(shelf.head(choice).ws, expected.ws)
    assert shelf.attributes(choice) == pytest.approx(expected.attributes())
    assert shelf.attributes(HeadChoice(seed=2)) == pytest.approx(predictor.sample(2).attributes())
    with pytest.raises(UsageError, match="no attribute 'shape_0'"):
        shelf.head(HeadChoice(attributes=(("shape_0", 0.5),)))
    with pytest.raises(UsageError, match="age is 500"):
        shelf.head(HeadChoice(attributes=(("age", 500.0),)))


def test_the_last_of_two_names_of_the_same_thing_wins() -> None:
    shelf = HeadShelf(attribute_predictor())
    pairs = (("hair_length", 0.0), ("hair_style", "long"))
    assert shelf.attributes(HeadChoice(attributes=pairs))["hair_length"] == pytest.approx(1)
    assert shelf.attributes(HeadChoice(attributes=pairs[::-1]))["hair_style"] == "buzz"


def test_known_heads_are_few() -> None:
    shelf = HeadShelf(attribute_predictor())
    for seed in range(KNOWN_HEADS + 3):
        shelf._with_attributes(HeadChoice(seed=seed))
    assert len(shelf._edited) == KNOWN_HEADS


def test_files_are_what_they_say(predictor: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exports, "MESH_NODES", 32)
    monkeypatch.setattr(exports, "TURNTABLE_FRAMES", 6)
    generator = tiny.generator()
    generator.decoder.output.bias[0] += 30  # so that the surface lies at the level of the mesh's default
    head = Predictor(generator).sample(0)
    frame = head.render(Camera.orbit())
    path = tmp_path / "view.png"
    path.write_bytes(image_file(frame, ViewChoice(backdrop="checker"), lambda _: None))
    with Image.open(path) as image:
        assert image.mode == "RGBA"
        assert image.size == frame.image.shape[-2:][::-1]
        assert "trainedAlgorithmicMedia" in str(image.info)
    steps: list[int] = []
    suffix, video = turntable_file(head, ViewChoice(), Pose(), lambda _: None, lambda: steps.append(1))
    assert (suffix, video[4:8], len(steps)) == (".mp4", b"ftyp", 6)
    assert mesh_file(head, lambda: None)[:4] == b"glTF"

    def stop() -> None:
        raise KeyError("cancelled")

    with pytest.raises(KeyError):
        turntable_file(head, ViewChoice(), Pose(), lambda _: None, stop)
    with pytest.raises(KeyError):
        mesh_file(head, stop)


def test_a_crop_becomes_a_head_that_the_library_lists(predictor: Predictor, tmp_path: Path) -> None:
    config = find_preset("fast").configure(steps=2, tuning_steps=1)
    crop = predictor.sample(5).render(Camera.orbit(20)).to_pil()
    reports: list[float] = []
    job = Job("reconstruction", lambda _: None, lambda _: None)

    def report(share: float, _text: str) -> None:
        reports.append(share)

    head = reconstruct_photo(predictor, crop, Camera.orbit(20), job, report, lambda: None, config)
    assert reports
    assert all(0 <= share <= 1 for share in reports)
    names = [save_in_library(head, tmp_path / "library", "tiny") for _ in range(2)]
    shelf = HeadShelf(predictor, tmp_path / "library")
    assert shelf.library() == [f"library:{name}" for name in sorted(names)]
    opened = shelf.head(HeadChoice(saved=f"library:{names[0]}"))
    torch.testing.assert_close(opened.ws, head.ws)
    blended = shelf.head(HeadChoice(saved=f"library:{names[0]}", second_seed=3, blend=0.5))
    assert blended.generator is opened.generator, "its own tuned generator"
    job.cancel()
    with pytest.raises(JobCancelled):
        reconstruct_photo(predictor, crop, Camera.orbit(20), job, report, lambda: None, config)


def test_a_camera_out_of_reach_is_told_from_those_of_visitors() -> None:
    assert is_out_of_reach((3, 3, 3), (0, 0, 0)), "viser's first camera"
    for zoom in (0.8, 1.0, 2.5):
        assert not is_out_of_reach(position_of(Pose(yaw_deg=30, pitch_deg=20, zoom=zoom)), (0, 0, 0))
    assert not is_out_of_reach((3, 3, 3), (3, 3, 0.3)), "a shifted camera"
