"""Conventions of poses, by sign; the decoders of pose and head networks; the user's CSV."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from panohead.alignment.angles import (
    camera_of_view,
    nearest_rotation,
    orbit_of_view,
    turned_upright,
    view_of_camera,
    view_of_head_angles,
    view_of_orbit,
)
from panohead.alignment.body_pose import LEFT_EAR, NOSE, RIGHT_EAR, yaw_of_body
from panohead.alignment.head_box import HeadDetector, crop_of_box, crop_of_outline, decode_yolo, letterbox
from panohead.alignment.pose_file import GivenPose, find_pose, notes_on_poses, read_poses
from panohead.alignment.pose_network import PoseModel, decode_6drepnet360, decode_whenet, expected_bin, open_network
from panohead.errors import PanoHeadError
from panohead.geometry.camera import Camera
from panohead.synthetic.views import PersonView

YAWS = [-170.0, -95.0, -40.0, 0.0, 60.0, 135.0, 179.0]


@pytest.mark.parametrize("yaw", YAWS)
@pytest.mark.parametrize("pitch", [-35.0, 0.0, 50.0])
def test_orbit_angles_are_those_of_the_camera(yaw: float, pitch: float) -> None:
    camera = camera_of_view(view_of_orbit(yaw, pitch, 0.0))
    torch.testing.assert_close(camera.cam2world, Camera.orbit(yaw, pitch).cam2world, atol=1e-5, rtol=0)
    np.testing.assert_allclose(orbit_of_view(view_of_camera(camera)), (yaw, pitch, 0.0), atol=1e-4)


@pytest.mark.parametrize("angles", [(30.0, 20.0, -40.0), (-120.0, -10.0, 15.0), (90.0, 0.0, 5.0)])
def test_orbit_angles_come_back(angles: tuple[float, float, float]) -> None:
    view = view_of_orbit(*angles)
    np.testing.assert_allclose(orbit_of_view(view), angles, atol=1e-9)
    np.testing.assert_allclose(orbit_of_view(turned_upright(view, angles[2])), (*angles[:2], 0.0), atol=1e-9)


def test_roll_is_the_clockwise_tilt() -> None:
    up = view_of_orbit(0.0, 0.0, 30.0)[:2, 1]
    assert up[0] > 0
    assert np.degrees(np.arctan2(up[0], up[1])) == pytest.approx(30.0)


def test_head_angles_have_the_signs_of_their_tools() -> None:
    nose = view_of_head_angles(40.0, 0.0, 0.0)[:, 2]
    assert nose[0] < 0, "positive yaw turns the nose to the left of the picture"
    assert view_of_head_angles(0.0, 25.0, 0.0)[1, 2] > 0, "positive pitch turns it up"
    assert view_of_head_angles(0.0, 0.0, 20.0)[0, 1] > 0, "positive roll tilts the head clockwise"
    yaw, pitch, roll = orbit_of_view(view_of_head_angles(40.0, 0.0, 0.0))
    np.testing.assert_allclose((yaw, pitch, roll), (40.0, 0.0, 0.0), atol=1e-9)
    assert orbit_of_view(view_of_head_angles(0.0, 25.0, 0.0))[1] == pytest.approx(-25.0)


def whenet_outputs(yaw: float, pitch: float, roll: float) -> list[np.ndarray]:
    """Sharp bins about the angles, in PINTO's order yaw, roll, pitch."""

    def row(value: float, count: int, start: float) -> np.ndarray:
        bins = np.arange(count) - (value - start) / 3.0
        return -(bins**2)

    return [row(yaw, 120, -180.0)[None], row(roll, 66, -99.0)[None], row(pitch, 66, -99.0)[None]]


@pytest.mark.parametrize("yaw", [-150.0, -40.0, 75.0, 160.0])
@pytest.mark.parametrize("pitch", [-20.0, 15.0])
def test_networks_that_see_a_synthetic_head_give_its_camera(yaw: float, pitch: float) -> None:
    """Sign test: the outputs that the networks' conventions ask for on a render with this label."""
    label = torch.tensor(PersonView(yaw, pitch).label(4.2647))
    view = view_of_camera(Camera.from_label(label))
    np.testing.assert_allclose(orbit_of_view(decode_6drepnet360([view.T[None]])), (yaw, pitch, 0.0), atol=1e-3)
    outputs = whenet_outputs(yaw, -pitch, 0.0)
    np.testing.assert_allclose(orbit_of_view(decode_whenet(outputs)), (yaw, pitch, 0.0), atol=0.1)
    keras = [outputs[0], outputs[2], outputs[1]]
    np.testing.assert_allclose(orbit_of_view(decode_whenet(keras, "whenet-keras")), (yaw, pitch, 0.0), atol=0.1)


def test_probabilities_and_scores_are_told_apart() -> None:
    scores = np.array([0.0, 3.0, 1.0])
    soft = np.exp(scores) / np.exp(scores).sum()
    assert expected_bin(soft) == pytest.approx(expected_bin(scores))
    assert expected_bin(scores) == pytest.approx(float(np.sum(soft * [0, 1, 2])))


def test_foreign_networks_are_refused() -> None:
    with pytest.raises(PanoHeadError, match="120"):
        decode_whenet([np.zeros(10)] * 3)
    with pytest.raises(PanoHeadError, match="rotation matrix"):
        decode_6drepnet360([np.zeros((1, 6))])
    with pytest.raises(PanoHeadError, match="onnx"):
        open_network(Path("no.onnx"))


class FakeNetwork:
    """Answers every picture alike and keeps what it was given."""

    def __init__(self, shape: list[Any], *outputs: np.ndarray) -> None:
        self.shape, self.outputs, self.seen = shape, outputs, np.zeros(0)

    def get_inputs(self) -> list[Any]:
        return [SimpleNamespace(name="input", shape=self.shape)]

    def run(self, _names: Any, feed: dict[str, np.ndarray]) -> list[np.ndarray]:
        self.seen = feed["input"]
        return list(self.outputs)


@pytest.mark.parametrize(
    ("shape", "seen"), [([1, 3, 224, 224], (1, 3, 224, 224)), (["N", 224, 224, 3], (1, 224, 224, 3))]
)
def test_pose_model_feeds_either_layout(shape: list[Any], seen: tuple[int, ...]) -> None:
    network = FakeNetwork(shape, *whenet_outputs(30.0, 0.0, 0.0))
    view = PoseModel(network, "whenet").view(np.full((50, 50, 3), 255, dtype=np.uint8))
    assert network.seen.shape == (1, *shape[1:])
    assert network.seen.max() == pytest.approx((1 - 0.406) / 0.225, rel=1e-3)
    assert orbit_of_view(view)[0] == pytest.approx(30.0, abs=0.1)


def test_yolo_boxes_of_both_versions() -> None:
    boxes = np.array([[100, 100, 40, 60, 0.9], [102, 101, 40, 60, 0.8], [300, 200, 20, 20, 0.7], [9, 9, 4, 4, 0.1]])
    filler = np.zeros((40, 5))
    version5 = np.concatenate([np.concatenate([boxes, filler]), np.ones((44, 1))], axis=1)[None]
    version8 = np.concatenate([boxes, filler]).T[None]
    expected = [(80, 70, 120, 130), (290, 190, 310, 210)]
    np.testing.assert_allclose(decode_yolo(version5), expected)
    np.testing.assert_allclose(decode_yolo(version8), expected)
    with pytest.raises(PanoHeadError, match="YOLO"):
        decode_yolo(np.zeros((1, 2)))


def test_head_detector_scales_back() -> None:
    pixels, shrink = letterbox(np.zeros((300, 1280, 3), dtype=np.uint8), 640)
    assert pixels.shape == (1, 3, 640, 640)
    assert shrink == 2.0
    table = np.concatenate([[[100, 100, 40, 60, 0.9]], np.zeros((40, 5))]).T[None]
    found = HeadDetector(FakeNetwork([1, 3, 640, 640], table)).boxes(np.zeros((300, 1280, 3), dtype=np.uint8))
    np.testing.assert_allclose(found, [(160, 140, 240, 260)])


def test_crop_of_a_box_follows_the_measured_frame() -> None:
    """In official crops a head from hair to chin is 0.99 of the core high, its middle 54 of 511 above the centre."""
    crop = crop_of_box((100.0, 50.0, 300.0, 250.0))
    assert 2 * crop.half_px * 0.99 == pytest.approx(200.0)
    np.testing.assert_allclose(crop.center, (200.0, 150.0 + 54 / 511 * 2 * crop.half_px))
    tilted = crop_of_box((100.0, 50.0, 300.0, 250.0), 90.0)
    np.testing.assert_allclose(tilted.center, (200.0 - 54 / 511 * 2 * crop.half_px, 150.0), atol=1e-9)


def test_outline_finds_the_head_above_the_shoulders() -> None:
    y, x = np.mgrid[0:600, 0:400].astype(float)
    head = ((x - 210) / 62) ** 2 + ((y - 120) / 80) ** 2 < 1
    body = (np.abs(x - 210) < 150) & (y > 230)
    neck = (np.abs(x - 210) < 30) & (y > 150)
    crop = crop_of_outline((head | body | neck).astype(float), 180.0)
    assert crop is not None
    assert crop.center[0] == pytest.approx(210, abs=5)
    assert crop.half_px == pytest.approx(80, rel=0.15)
    assert crop.center[1] == pytest.approx(120, abs=20)
    assert crop_of_outline(np.zeros((50, 50)), 0.0) is None


def body(yaw: float) -> np.ndarray:
    head = np.zeros((33, 3))
    head[NOSE], head[LEFT_EAR], head[RIGHT_EAR] = (0, 0, 10), (7, 0, 0), (-7, 0, 0)
    seen = head @ view_of_orbit(yaw, 0.0, 0.0).T
    return np.concatenate([seen * [1, -1, -1] + [200, 200, 0], np.ones((33, 1))], axis=1)


@pytest.mark.parametrize("yaw", [-150.0, -80.0, 70.0, 120.0])
def test_body_landmarks_give_the_yaw(yaw: float) -> None:
    assert yaw_of_body(body(yaw)) == pytest.approx(yaw, abs=1e-6)


def test_without_a_face_the_front_is_the_back() -> None:
    assert abs(yaw_of_body(body(0.0))) == pytest.approx(180.0)
    assert yaw_of_body(body(20.0)) == pytest.approx(160.0)
    assert yaw_of_body(body(20.0), face_seen=True) == pytest.approx(20.0)


def test_rotation_nearest_a_matrix() -> None:
    rotation = view_of_orbit(33.0, 10.0, -5.0)
    np.testing.assert_allclose(nearest_rotation(rotation * 1.3), rotation, atol=1e-12)


def test_sidecar(tmp_path: Path) -> None:
    path = tmp_path / "poses.csv"
    path.write_text(
        "\ufefffile, yaw_deg, pitch_deg, roll_deg, box\n"
        "a/back.jpg, 180, 5,, \n"
        'side.jpg, -90, 0, 3.5, "10 20 110 140"\n'
        '"odd, name.png", 12, , , [1;2;3;4]\n',
        encoding="utf-8",
    )
    poses = read_poses(path)
    assert poses["a/back.jpg"] == GivenPose(180.0, 5.0, 0.0)
    assert poses["odd, name.png"].box == (1.0, 2.0, 3.0, 4.0)
    assert find_pose(poses, "photos/b/side.jpg") == GivenPose(-90.0, 0.0, 3.5, (10.0, 20.0, 110.0, 140.0))
    assert find_pose(poses, "photos/a/back.jpg") is not None
    assert find_pose(poses, "photos/b/back.jpg") is None


@pytest.mark.parametrize(
    "text",
    [
        "nothing",
        "file,yaw_deg\na.jpg,east",
        "file,yaw_deg,box\na.jpg,1,3 4",
        "file,yaw_deg,box\na.jpg,1,9 9 3 3",
        "file,yaw_deg\na,nan",
    ],
)
def test_bad_sidecars_are_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "poses.csv"
    path.write_text(text)
    with pytest.raises(PanoHeadError, match=r"poses\.csv"):
        read_poses(path)
    with pytest.raises(PanoHeadError, match="gone"):
        read_poses(tmp_path / "gone.csv")


def test_bad_rows_are_named_by_line(tmp_path: Path) -> None:
    path = tmp_path / "poses.csv"
    path.write_text("file,yaw_deg,box\na.jpg,1,\n,,\n\na.jpg,2,\nb.jpg,east,\nc.jpg,1,1,2,3,4\n,5,\nd.jpg,,\n")
    with pytest.raises(PanoHeadError) as caught:
        read_poses(path)
    parts = str(caught.value).split("; ")
    for start, word in (("line 5", "line 2"), ("line 6", "east"), ("line 7", "quotes"), ("line 8", "not named")):
        assert any(start in part and word in part for part in [*parts, str(caught.value)])
    assert "line 9: yaw_deg is missing" in str(caught.value)


def test_rows_of_no_photo_and_of_two() -> None:
    poses = {name: GivenPose(0.0, 0.0, 0.0) for name in ("x/a.jpg", "b.jpg", "gone.jpg")}
    notes = notes_on_poses(poses, ["p/x/a.jpg", "p/b.jpg", "q/b.jpg", "c.jpg"])
    assert len(notes) == 2
    assert notes[0] == "the pose of gone.jpg matches no photo"
    assert "b.jpg was used for 2 photos (p/b.jpg, q/b.jpg)" in notes[1]
