"""The landmark fit: exact recovery, a slow reference, robustness, symmetry, and landmarks of synthetic heads."""

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.optimize import least_squares
from scipy.spatial.transform import Rotation

from panohead.alignment.angles import orbit_of_view, view_of_camera, view_of_orbit
from panohead.alignment.canonical_face import LANDMARKS, canonical_face, mirror_order, rigid_weights
from panohead.alignment.face_landmarks import (
    MediaPipeFaces,
    distinct,
    from_window,
    turn_back,
    upright_window,
)
from panohead.alignment.face_pose import DEPTH_WEIGHT, SOFT_RESIDUAL_CM, fit_face
from panohead.alignment.head_alignment import CENTER_CM, HALF_CM, align_face
from panohead.geometry.camera import Camera

STORED = Path(__file__).with_name("landmarks.npz")
SIDE = 512


def project(rotation: np.ndarray, scale: float, offset: tuple[float, float]) -> np.ndarray:
    view = canonical_face() @ rotation.T
    flat = np.array(offset) + scale * view[:, :2] * [1, -1]
    return np.concatenate([flat, -scale * view[:, 2:]], axis=1)


def stored() -> tuple[np.ndarray, np.ndarray]:
    with np.load(STORED) as file:
        return file["labels"], file["landmarks"].astype(np.float64) / 16


def test_canonical_face_is_symmetric() -> None:
    face, order = canonical_face(), mirror_order()
    assert face.shape == (LANDMARKS, 3)
    np.testing.assert_array_equal(face[order], face * [-1, 1, 1])
    np.testing.assert_array_equal(order[order], np.arange(LANDMARKS))
    assert face[33, 0] < 0 < face[263, 0]
    assert face[152, 1] < face[4, 1] < face[10, 1]


@pytest.mark.parametrize("yaw", [-80.0, -30.0, 0.0, 45.0])
@pytest.mark.parametrize("roll", [-170.0, 0.0, 25.0])
def test_exact_landmarks_give_the_exact_pose(yaw: float, roll: float) -> None:
    rotation = view_of_orbit(yaw, 12.0, roll)
    pose = fit_face(project(rotation, 9.0, (310.0, 200.0)))
    np.testing.assert_allclose(pose.rotation, rotation, atol=1e-6)
    np.testing.assert_allclose([pose.scale, *pose.offset, pose.residual], [9.0, 310.0, 200.0, 0.0], atol=1e-5)


def test_fit_is_the_minimum_of_the_soft_loss() -> None:
    landmarks = stored()[1][0]
    pose, model = fit_face(landmarks), canonical_face()

    def residual(p: np.ndarray) -> np.ndarray:
        rotation = Rotation.from_rotvec(p[:3]).as_matrix()
        away = p[4:] + p[3] * (model @ rotation.T) * [1, -1, -1] - landmarks
        # The loss of a landmark is of its distance, not of each coordinate.
        distance = np.linalg.norm(away * np.sqrt([1, 1, DEPTH_WEIGHT]), axis=1) / pose.scale / SOFT_RESIDUAL_CM
        return np.sqrt(rigid_weights() * 2 * (np.sqrt(1 + distance**2) - 1))

    start = np.concatenate([Rotation.from_matrix(pose.rotation).as_rotvec(), [pose.scale], pose.offset, [0.0]])
    slow = least_squares(residual, start + 0.02, x_scale=[1, 1, 1, 10, 100, 100, 100], xtol=1e-14, ftol=1e-14).x
    np.testing.assert_allclose(Rotation.from_rotvec(slow[:3]).as_matrix(), pose.rotation, atol=3e-3)
    np.testing.assert_allclose(slow[3:6], start[3:6], rtol=3e-3)


def test_rigid_landmarks_count_alike_on_both_sides() -> None:
    weights = rigid_weights()
    np.testing.assert_array_equal(weights[mirror_order()], weights)
    assert (weights > 1.0).sum() == 33
    assert weights.mean() == pytest.approx(1.3)
    assert weights.argmax() in (129, 358)


def test_where_depth_is_zero_does_not_matter() -> None:
    landmarks = stored()[1][2]
    one, other = fit_face(landmarks), fit_face(landmarks + np.array([0.0, 0.0, 300.0]))
    np.testing.assert_allclose(other.rotation, one.rotation, atol=1e-6)
    np.testing.assert_allclose([other.scale, *other.offset], [one.scale, *one.offset], rtol=1e-6)


def test_wild_landmarks_hardly_count() -> None:
    rng = np.random.default_rng(0)
    rotation = view_of_orbit(20.0, -5.0, 0.0)
    landmarks = project(rotation, 10.0, (256.0, 256.0))
    wild = rng.choice(LANDMARKS, 60, replace=False)
    landmarks[wild, :2] += rng.normal(0, 80, (60, 2))
    pose = fit_face(landmarks)
    angle = np.degrees(np.arccos((np.trace(pose.rotation.T @ rotation) - 1) / 2))
    assert angle < 1.0
    assert pose.residual > 0.1


def test_mirrored_landmarks_give_the_mirrored_pose() -> None:
    for landmarks in stored()[1][:6]:
        mirrored = (landmarks * [-1, 1, 1])[mirror_order()]
        one, other = align_face(landmarks), align_face(mirrored)
        yaw, pitch, roll = one.angles_deg
        np.testing.assert_allclose(other.angles_deg, (-yaw, pitch, -roll), atol=1e-3)
        np.testing.assert_allclose(other.crop.center, (-one.crop.center[0], one.crop.center[1]), atol=1e-3)


def test_alignment_turns_with_the_photo() -> None:
    landmarks = stored()[1][3]
    turn = np.radians(40.0)
    matrix = 1.4 * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    moved = np.concatenate([landmarks[:, :2] @ matrix.T + [100, 7], 1.4 * landmarks[:, 2:]], axis=1)
    one, other = align_face(landmarks), align_face(moved)
    np.testing.assert_allclose(other.crop.core_corners(), one.crop.core_corners() @ matrix.T + [100, 7], atol=0.05)
    np.testing.assert_allclose(other.camera.to_label().numpy(), one.camera.to_label().numpy(), atol=1e-3)
    assert other.crop.angle_deg == pytest.approx(one.crop.angle_deg + 40.0, abs=0.01)


def test_synthetic_heads_have_the_right_cameras_and_crops() -> None:
    """Landmarks that MediaPipe found on renders with exact labels (512 pixels, |yaw| up to 45)."""
    labels, landmarks = stored()
    errors, halves = [], []
    for label, points in zip(labels, landmarks, strict=True):
        found = align_face(points)
        camera = Camera.from_label(torch.from_numpy(label))
        yaw, pitch, _ = orbit_of_view(view_of_camera(camera))
        errors.append(np.abs(np.array(found.angles_deg[:2]) - (yaw, pitch)))
        halves.append(found.crop.half_px / (SIDE / 2))
        assert np.hypot(*(np.array(found.crop.center) - (SIDE - 1) / 2)) < 0.13 * SIDE
    yaw_error, pitch_error = np.mean(errors, axis=0)
    assert yaw_error < 3.5
    assert pitch_error < 4.0
    assert np.mean(halves) == pytest.approx(0.98, abs=0.04)


def test_a_face_from_the_side_is_coarse() -> None:
    assert align_face(project(view_of_orbit(30.0, 0.0, 0.0), 8.0, (200.0, 200.0))).kind == "face"
    sideways = align_face(project(view_of_orbit(-60.0, 0.0, 0.0), 8.0, (200.0, 200.0)))
    assert sideways.kind == "coarse"
    assert sideways.angles_deg[0] == pytest.approx(-60.0, abs=0.01)


def test_crop_lies_where_the_constants_say() -> None:
    found = align_face(project(view_of_orbit(0.0, 0.0, 0.0), 10.0, (256.0, 256.0)))
    np.testing.assert_allclose(found.crop.center, (256 + 10 * CENTER_CM[0], 256 - 10 * CENTER_CM[1]), atol=1e-4)
    assert found.crop.half_px == pytest.approx(10 * HALF_CM)
    assert found.confidence == pytest.approx(1.0)


@pytest.mark.parametrize("turns", [0, 90, -90, 180])
def test_landmarks_of_a_turned_image_come_back(turns: int) -> None:
    """A marked pixel is where its landmark says, whichever way the image was turned."""
    image = np.zeros((30, 50), dtype=np.uint8)
    image[7, 33] = 1
    row, column = np.argwhere(np.rot90(image, turns // 90))[0]
    found = np.tile([column + 0.5, row + 0.5, 0.0], (LANDMARKS, 1))
    np.testing.assert_allclose(turn_back(found, turns, image.shape)[0, :2], (33.5, 7.5))


def test_window_is_upright_and_inverted() -> None:
    landmarks = project(view_of_orbit(10.0, 5.0, 35.0), 6.0, (140.0, 90.0))
    window = upright_window(landmarks)
    assert window.angle_deg == pytest.approx(35.0, abs=1.0)
    half = 511 / 2
    inside = (landmarks[:, :2] - window.center) / window.half_px
    turn = np.radians(-window.angle_deg)
    flat = inside @ np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]).T
    in_window = np.concatenate([(flat + 1) * half, landmarks[:, 2:] * half / window.half_px], axis=1)
    np.testing.assert_allclose(from_window(in_window, window), landmarks, atol=1e-9)


def test_one_face_found_twice_counts_once() -> None:
    face = project(np.eye(3), 8.0, (200.0, 200.0))
    assert len(distinct([face, face + 3.0, face + np.array([200.0, 0.0, 0.0])])) == 2


def test_a_face_that_the_second_pass_misses_is_dropped() -> None:
    """The first pass finds faces in hair; the second one, closer, does not."""
    pytest.importorskip("mediapipe", exc_type=ImportError)
    face = project(np.eye(3), 8.0, (200.0, 200.0))

    class ScriptedFaces(MediaPipeFaces):
        def __init__(self, second: list[np.ndarray]) -> None:
            super().__init__()
            self.second = second

        def _detect(self, image: np.ndarray, most: int) -> list[np.ndarray]:
            return [face] if most > 1 else self.second

        def _refine(self, image: np.ndarray) -> list[np.ndarray]:
            return [face + 2.0]  # the other detector finds it too

    image = np.zeros((400, 400, 3), dtype=np.uint8)
    assert ScriptedFaces([]).faces(image, 4) == []
    assert len(ScriptedFaces([project(np.eye(3), 18.0, (255.0, 255.0))]).faces(image, 4)) == 1
