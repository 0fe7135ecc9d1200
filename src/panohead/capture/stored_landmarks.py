"""Landmarks of all frames of a video, stored now and then, so that an interrupted search continues."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from panohead.capture.face_track import REFINED, FaceTrack
from panohead.errors import PanoHeadError
from panohead.files.archive import read_arrays
from panohead.files.regular import check_regular
from panohead.limits import FRAMES
from panohead.media.video_frames import VideoFrames
from panohead.system.atomic_write import atomic_path

_STORE_EVERY = 100
"""Frames between two writings."""


@dataclass(frozen=True)
class VideoLandmarks:
    """Landmarks of every frame.

    Attributes:
        landmarks: pixels of the frames; NaN where no face is seen.
        fps: frames per second.
        most_faces: number of faces in the frames that were searched, at most.
    """

    landmarks: Float[np.ndarray, "frame 478 3"]
    fps: float
    most_faces: int


def landmarks_of_video(
    path: Path, fps: float | None, store: Path | None, step: Callable[[], None] = lambda: None
) -> VideoLandmarks:
    """Find the landmarks of all frames, or continue from ``store``.

    Raises:
        PanoHeadError: when MediaPipe is missing, or the video cannot be read, or has no frame or too many.
    """
    track, found = FaceTrack(), list[Float[np.ndarray, "478 3"]]()
    with VideoFrames(path, fps) as video:
        key = _key(path, video)
        if store is not None:
            found = _stored(store, key, track)
        for number, frame in enumerate(video):
            if number >= FRAMES.high:
                raise PanoHeadError(f"{path} has more than {FRAMES.high:.0f} frames; cut it into parts")
            if number >= len(found):
                landmarks = track.next(frame)
                found.append(np.full((REFINED, 3), np.nan) if landmarks is None else landmarks)
                if store is not None and len(found) % _STORE_EVERY == 0:
                    _store(store, key, found, track)
            step()
        if not found:
            raise PanoHeadError(f"{path} holds no frame; give a video with at least one")
        if store is not None:
            _store(store, key, found, track)
        return VideoLandmarks(np.stack(found), video.fps, track.most_faces)


def _key(path: Path, video: VideoFrames) -> str:
    """Return what decides the frames: a file that was changed in place is another video."""
    facts = check_regular(path)
    text = f"{facts.st_size} {facts.st_mtime_ns} {video.fps} {video.size}"
    return hashlib.sha256(text.encode()).hexdigest()


def _store(store: Path, key: str, found: list[Float[np.ndarray, "478 3"]], track: FaceTrack) -> None:
    with atomic_path(store) as temporary, temporary.open("wb") as file:
        np.savez_compressed(
            file, landmarks=np.stack(found).astype(np.float32), key=np.array(key), most_faces=np.array(track.most_faces)
        )


def _stored(store: Path, key: str, track: FaceTrack) -> list[Float[np.ndarray, "478 3"]]:
    """Return the stored landmarks and bring the track to where they end; none where they are of another video."""
    if not store.is_file():
        return []
    try:
        arrays = read_arrays(store, ["landmarks", "key", "most_faces"])
    except (OSError, ValueError, PanoHeadError):
        return []
    if str(arrays["key"]) != key or arrays["landmarks"].shape[1:] != (REFINED, 3):
        return []
    found = list(arrays["landmarks"].astype(np.float64))
    track.resume(found, int(arrays["most_faces"]))
    return found
