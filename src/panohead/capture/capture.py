"""Weights of ARKit's units over time from a video of a face."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter1d

from panohead.attributes.blendshape_file import BlendshapeTrack, bridged
from panohead.capture.canonical_landmarks import CanonicalLandmarks, canonical_landmarks
from panohead.capture.face_track import REFINED
from panohead.capture.landmark_response import landmark_response, pose_terms
from panohead.capture.stored_landmarks import VideoLandmarks, landmarks_of_video
from panohead.errors import PanoHeadError
from panohead.limits import NEUTRAL_S, NumberRange

SMOOTHING_S = NumberRange(0, 2, "seconds")
_MIN_SEEN = 0.5
"""Share of the frames that must show the face."""
_MAX_TURN = np.radians(60.0)
"""Yaw beyond which landmarks of the far half are made up: such frames are bridged."""


@dataclass(frozen=True, kw_only=True)
class CaptureSettings:
    """Settings of the step from landmarks to weights.

    Attributes:
        neutral_s: seconds at the beginning in which the face is at rest; weights are measured from there.
        smoothing_s: standard deviation in seconds of the smoothing along time; 0 for none.
    """

    neutral_s: float = 0.5
    smoothing_s: float = 0.04

    def __post_init__(self) -> None:
        NEUTRAL_S.real(self.neutral_s, "neutral_s")
        SMOOTHING_S.real(self.smoothing_s, "smoothing_s")


def capture_expressions(
    path: Path,
    settings: CaptureSettings | None = None,
    *,
    fps: float | None = None,
    store: Path | None = None,
    step: Callable[[], None] = lambda: None,
) -> BlendshapeTrack:
    """Return the weights, the gaze (as units of the eyes) and the pose of the head in a video of one face.

    Args:
        path: .mp4, .mov, .m4v, .mkv or .webm.
        fps: frames per second to read; None for the video's mean rate, at most 30.
        store: file for the landmarks found so far, from which an interrupted capture continues; None for none.
        step: called after each frame.

    Raises:
        PanoHeadError: when MediaPipe is missing, the video cannot be read, or shows no face in half of its frames.
        UsageError: for settings out of range.
    """
    settings = settings or CaptureSettings()
    return track_of_landmarks(landmarks_of_video(path, fps, store, step), settings, path)


def track_of_landmarks(found: VideoLandmarks, settings: CaptureSettings, path: Path) -> BlendshapeTrack:
    """Return the track of the landmarks of all frames of a video; ``path`` is named in errors.

    Raises:
        PanoHeadError: when too few frames show the face.
    """
    notes = []
    seen = [canonical_landmarks(frame) if np.isfinite(frame).all() else None for frame in found.landmarks]
    kept = [one if one is not None and abs(one.angles[0]) <= _MAX_TURN else None for one in seen]
    shown, turned = sum(one is not None for one in seen), sum(one is not None for one in kept)
    if shown < max(1, _MIN_SEEN * len(seen)):
        raise PanoHeadError(
            f"{path} shows a face in {shown} of {len(seen)} frames; give a video of one face, seen from the front"
        )
    if turned < max(1, _MIN_SEEN * len(seen)):
        raise PanoHeadError(
            f"{path} shows the face within 60 degrees of the front in {turned} of {len(seen)} frames; film it there"
        )
    if shown < len(seen):
        notes.append(f"{len(seen) - shown} of {len(seen)} frames show no face and are bridged by straight lines")
    if turned < shown:
        notes.append(f"{shown - turned} frames are turned by more than 60 degrees and are bridged by straight lines")
    if found.most_faces > 1:
        notes.append(f"the video shows {found.most_faces} faces; the largest of the first frame is followed")
    return _track(kept, found.fps, settings, notes)


def _track(
    frames: list[CanonicalLandmarks | None], fps: float, settings: CaptureSettings, notes: list[str]
) -> BlendshapeTrack:
    points, angles = np.full((len(frames), REFINED, 2), np.nan), np.full((len(frames), 3), np.nan)
    for number, frame in enumerate(frames):
        if frame is not None:
            points[number], angles[number] = frame.points[:, :2], frame.angles
    points = bridged(points.reshape(len(frames), -1)).reshape(points.shape)
    angles = np.unwrap(bridged(angles), axis=0)
    if settings.smoothing_s:
        points = gaussian_filter1d(points, settings.smoothing_s * fps, axis=0, mode="nearest")
        angles = gaussian_filter1d(angles, settings.smoothing_s * fps, axis=0, mode="nearest")
    terms = np.stack([pose_terms(yaw, pitch) for yaw, pitch, _ in angles])
    rest = slice(0, max(1, round(settings.neutral_s * fps)))
    displacement = points - np.median(points[rest], axis=0)
    weights, _ = landmark_response().solve(displacement, terms - np.median(terms[rest], axis=0))
    return BlendshapeTrack(np.arange(len(frames)) / fps, weights, angles, tuple(notes))
