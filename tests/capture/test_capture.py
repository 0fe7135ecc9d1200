"""From landmarks to a track, with a tracker that stands in for MediaPipe's."""

from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from panohead.alignment.canonical_face import canonical_face
from panohead.attributes.blendshape_file import read_blendshapes, write_blendshapes
from panohead.capture import CaptureSettings, capture_expressions, stored_landmarks
from panohead.capture.capture import track_of_landmarks
from panohead.capture.face_track import FaceTrack
from panohead.capture.stored_landmarks import VideoLandmarks
from panohead.errors import PanoHeadError, UsageError
from panohead.media.video import VideoWriter
from panohead.synthetic.expressions import EXPRESSION_UNITS

# imageio-ffmpeg leaves the closing of ffmpeg's pipes to the garbage collector.
pytestmark = [
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]
NOWHERE = Path("face.mp4")


def landmarks(yaw: float = 0.0, mouth: float = 0.0) -> np.ndarray:
    """A face, turned to the person's left and with its lower lip and chin lowered, in pixels."""
    face = np.concatenate([canonical_face(), canonical_face()[:10]])
    low = (face[:, 1] < -4.2) & (np.abs(face[:, 0]) < 5.5)
    face[low, 1] -= mouth
    view = face @ Rotation.from_euler("y", yaw).as_matrix().T
    return view * [20.0, -20.0, -20.0] + [320.0, 240.0, 0.0]


def found(frames: list[np.ndarray | None], most_faces: int = 1) -> VideoLandmarks:
    hidden = np.full((478, 3), np.nan)
    return VideoLandmarks(np.stack([hidden if f is None else f for f in frames]), 10.0, most_faces)


def test_a_face_at_rest_has_no_weights_and_its_turn_is_told() -> None:
    frames = [landmarks(max(0.0, 0.03 * (k - 5))) for k in range(12)]
    track = track_of_landmarks(found(frames), CaptureSettings(smoothing_s=0), NOWHERE)
    assert track.pose is not None
    np.testing.assert_allclose(track.pose[:, 0], np.maximum(0, 0.03 * (np.arange(12) - 5)), atol=1e-3)
    assert track.weights[:6].max() < 1e-6
    assert track.fps == pytest.approx(10)
    assert track.notes == ()


def test_a_mouth_that_opens_is_jaw_open() -> None:
    frames = [landmarks(mouth=m) for m in (0, 0, 0, 0, 0, 0, 1.0, 2.0, 2.0, 0.5)]
    track = track_of_landmarks(found(frames), CaptureSettings(smoothing_s=0), NOWHERE)
    jaw = track.weights[:, EXPRESSION_UNITS.index("jawOpen")]
    assert jaw[:6].max() < 0.02
    assert jaw[7] > jaw[6] > 0.05
    assert jaw[9] < jaw[6]


def test_frames_without_the_face_are_bridged_and_said() -> None:
    frames = [landmarks(), landmarks(), None, None, landmarks(0.3), landmarks(0.3)]
    track = track_of_landmarks(found(frames, most_faces=2), CaptureSettings(smoothing_s=0), NOWHERE)
    assert track.pose is not None
    np.testing.assert_allclose(track.pose[:, 0], [0, 0, 0.1, 0.2, 0.3, 0.3], atol=2e-3)
    assert track.notes == (
        "2 of 6 frames show no face and are bridged by straight lines",
        "the video shows 2 faces; the largest of the first frame is followed",
    )


def test_videos_without_a_face_or_from_behind_are_refused() -> None:
    with pytest.raises(PanoHeadError, match=r"face.mp4 shows a face in 1 of 4 frames; give a video of one face"):
        track_of_landmarks(found([landmarks(), None, None, None]), CaptureSettings(), NOWHERE)
    with pytest.raises(PanoHeadError, match="within 60 degrees of the front in 0 of 2 frames"):
        track_of_landmarks(found([landmarks(1.3), landmarks(1.3)]), CaptureSettings(), NOWHERE)


@pytest.mark.parametrize("options", [{"neutral_s": 0}, {"smoothing_s": -1}, {"neutral_s": float("nan")}])
def test_settings_are_checked(options: dict[str, float]) -> None:
    with pytest.raises(UsageError):
        CaptureSettings(**options)


class Tracker(FaceTrack):
    """Stands in for MediaPipe: the face turns as far as the frame is bright."""

    calls = 0

    def __init__(self) -> None:
        self.most_faces = 1

    def next(self, frame: np.ndarray) -> np.ndarray | None:
        type(self).calls += 1
        return landmarks(float(frame.mean()) / 1000)

    def resume(self, found: list[np.ndarray], most_faces: int) -> None:
        self.most_faces = most_faces


def test_a_capture_that_was_interrupted_continues(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored_landmarks, "FaceTrack", Tracker)
    monkeypatch.setattr(stored_landmarks, "_STORE_EVERY", 4)
    path, store = tmp_path / "face.mp4", tmp_path / "landmarks.npz"
    with VideoWriter(path, 10, source=None) as video:
        for number in range(10):
            video.write(np.full((32, 32, 3), 10 * number, np.uint8))
    whole = capture_expressions(path)
    assert Tracker.calls == 10
    steps: list[int] = []

    def stop() -> None:
        steps.append(1)
        if len(steps) == 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        capture_expressions(path, store=store, step=stop)
    Tracker.calls = 0
    again = capture_expressions(path, store=store)
    assert Tracker.calls == 6  # four of ten frames were stored
    np.testing.assert_allclose(again.weights, whole.weights, atol=1e-4)
    Tracker.calls = 0
    capture_expressions(path, fps=5, store=store)  # other frames
    assert Tracker.calls == 5


def test_a_track_is_written_and_read(tmp_path: Path) -> None:
    track = track_of_landmarks(found([landmarks(0.03 * k, 0.2 * k) for k in range(8)]), CaptureSettings(), NOWHERE)
    write_blendshapes(tmp_path / "recording.csv", track)
    again = read_blendshapes(tmp_path / "recording.csv")
    np.testing.assert_allclose(again.weights, track.weights, atol=1e-4)
    np.testing.assert_allclose(again.times, track.times, atol=1e-4)
    assert again.pose is not None
    assert track.pose is not None
    np.testing.assert_allclose(again.pose, track.pose, atol=1e-4)
    assert again.notes == ()
