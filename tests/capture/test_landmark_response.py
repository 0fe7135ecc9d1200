"""The most probable weights of landmarks, and the pose that is taken away first."""

import numpy as np
import pytest

from panohead.alignment.canonical_face import canonical_face
from panohead.capture.canonical_landmarks import canonical_landmarks, head_angles
from panohead.capture.landmark_response import GAZE, UNITS, UNKNOWNS, LandmarkResponse, landmark_response, pose_terms
from panohead.synthetic.expressions import EXPRESSION_UNITS, gaze_units

RNG = np.random.default_rng(0)


def turned(yaw: float, pitch: float, roll: float) -> np.ndarray:
    """Rotation of a face, written out: roll about z, then pitch (up), then yaw (to the person's left)."""
    cy, sy, cp, sp, cr, sr = np.cos(yaw), np.sin(yaw), np.cos(pitch), np.sin(pitch), np.cos(roll), np.sin(roll)
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_x = np.array([[1, 0, 0], [0, cp, sp], [0, -sp, cp]])
    about_z = np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
    return about_y @ about_x @ about_z


@pytest.mark.parametrize("angles", [(0.0, 0.0, 0.0), (0.5, 0.0, 0.0), (-0.3, 0.2, 0.0), (0.4, -0.3, 0.25)])
def test_angles_come_back(angles: tuple[float, float, float]) -> None:
    np.testing.assert_allclose(head_angles(turned(*angles)), angles, atol=1e-9)


def test_the_pose_is_taken_away() -> None:
    """A rigid face in the image has the same canonical landmarks from every side, and its angles are told."""
    face = np.concatenate([canonical_face(), canonical_face()[:10]])
    for angles in [(0.0, 0.0, 0.0), (0.35, 0.1, -0.2), (-0.5, -0.15, 0.1)]:
        view = face @ turned(*angles).T
        found = canonical_landmarks(view * [20.0, -20.0, -20.0] + [300.0, 200.0, 55.0])
        np.testing.assert_allclose(found.points, face, atol=1e-3)
        np.testing.assert_allclose(found.angles, angles, atol=1e-4)


def model(noise: float) -> tuple[LandmarkResponse, np.ndarray]:
    """A response drawn at random, with white noise and a weak prior."""
    response = RNG.normal(size=(UNKNOWNS, 2 * 478))
    normal = response @ response.T / noise**2 + 1e-6 * np.eye(UNKNOWNS)
    return LandmarkResponse(np.arange(478), normal, response / noise**2), response


def test_known_weights_and_gaze_are_found() -> None:
    solver, response = model(0.01)
    weights = RNG.uniform(0, 1, (4, UNITS)) * (RNG.random((4, UNITS)) < 0.3)
    gaze = RNG.uniform(-0.3, 0.3, (4, 2))
    pose = np.stack([pose_terms(*RNG.normal(size=2) * 0.2) for _ in range(4)])
    moved = (np.concatenate([weights, gaze, pose], axis=1) @ response).reshape(4, 478, 2)
    found, looked = solver.solve(moved, pose)
    np.testing.assert_allclose(looked, gaze, atol=1e-6)
    for row, (across, up) in zip(weights, gaze, strict=True):
        for name, value in gaze_units(float(across), float(up)).items():
            row[EXPRESSION_UNITS.index(name)] = value
    np.testing.assert_allclose(found, weights, atol=1e-6)


def test_bounds_hold_and_rest_is_rest() -> None:
    solver, response = model(0.01)
    beyond = np.zeros((2, UNKNOWNS))
    beyond[1, EXPRESSION_UNITS.index("jawOpen")] = 3.0
    beyond[1, EXPRESSION_UNITS.index("cheekPuff")] = -2.0
    found, gaze = solver.solve((beyond @ response).reshape(2, 478, 2), np.zeros((2, 5)))
    assert np.abs(found[0]).max() < 1e-6
    assert np.abs(gaze[0]).max() < 1e-6
    assert found.min() >= 0
    assert found.max() <= 1
    assert found[1, EXPRESSION_UNITS.index("jawOpen")] > 0.9


def test_the_measured_response_tells_jaw_from_smile() -> None:
    """The stored model, on the displacement that it expects of one unit (the inverse of its own projection)."""
    solver = landmark_response()
    assert solver.projection.shape == (UNKNOWNS, 2 * len(solver.landmarks))
    eigenvalues = np.linalg.eigvalsh(solver.normal)
    assert eigenvalues.min() > 0
    free = solver.projection[: GAZE.stop]
    for name in ("jawOpen", "mouthSmileLeft", "eyeBlinkRight"):
        k = EXPRESSION_UNITS.index(name)
        target = solver.normal[: GAZE.stop, k] * 0.8
        moved, *_ = np.linalg.lstsq(free, target, rcond=None)
        displacement = np.zeros((1, 478, 2))
        displacement[0, solver.landmarks] = moved.reshape(-1, 2)
        weights, _ = solver.solve(displacement, np.zeros((1, 5)))
        assert weights[0].argmax() == k
        assert weights[0, k] == pytest.approx(0.8, abs=0.05)
