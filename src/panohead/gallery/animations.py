"""Heads that follow recorded weights: a video rendered from the model, and a GLB with the recording as an animation."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from panohead.attributes.blendshape_file import BlendshapeTrack
from panohead.attributes.expressions import gaze_of
from panohead.errors import PanoHeadError, UsageError
from panohead.files.image import open_image
from panohead.files.regular import read_text
from panohead.gallery.views import ViewStyle
from panohead.geometry import Camera
from panohead.head import Head
from panohead.media import VideoWriter, save_image
from panohead.media.video import enlarged
from panohead.mesh.gltf_morphs import Clip
from panohead.mesh.morph_targets import moved, targets_of, without_targets
from panohead.mesh.settings import MeshSettings, MeshUnit
from panohead.system.atomic_write import atomic_path

FRAMES_FOLDER = "frames"
"""Folder of finished frames while a video is made; it is removed when the video is complete."""
_KEY_FILE = "frames.sha256"
_MAX_TURN_DEG = 80.0
_MAX_NOD_DEG = 40.0


class ExpressionDriver:
    """One head with other expressions: everything but the expression stays.

    Args:
        head: of a model with an attribute encoder. Its own expression is taken away first.

    Raises:
        UsageError: for a model without an attribute encoder.
    """

    def __init__(self, head: Head) -> None:
        if head.attribute_encoder is None:
            raise UsageError("this model has no attribute encoder, so its heads have no expressions; take demo")
        self._head = head
        self._neutral = head.own_attributes.neutral()
        self._before = head.own_attributes.w()

    def at(self, weights: Mapping[str, float]) -> Head:
        """Return the head with these weights of ARKit's units; those that are missing are 0."""
        known = self._neutral.known
        values = {name: value for name, value in weights.items() if name in known}
        after = self._neutral.changed({**values, **gaze_of(weights)})
        ws = self._head.ws + (after.w() - self._before).to(self._head.ws)
        return Head(self._head.generator, ws, self._head.camera_offset, self._head.attribute_encoder)


def write_animation(
    head: Head,
    track: BlendshapeTrack,
    path: Path,
    *,
    style: ViewStyle,
    yaw_deg: float = 0.0,
    head_pose: bool = False,
    key: str = "",
    step: Callable[[], None] = lambda: None,
) -> None:
    """Write a video of a head that follows a track, at the track's own rate.

    Frames are kept in the folder ``frames`` beside the video until it is complete: with the same ``key`` a second call
    continues. One frame at a time is in memory.

    Args:
        head: of a model with an attribute encoder.
        track: weights, resampled to the video's rate.
        path: .mp4, .webm or .gif.
        style: background and height of the camera.
        yaw_deg: side from which the head is seen.
        head_pose: turn the head as the track says (yaw and pitch, within 80 and 40 degrees), by moving the camera.
        key: what else decides the frames.
        step: called after each frame.

    Raises:
        UsageError: for a model without an attribute encoder.
        PanoHeadError: when a file cannot be written.
    """
    folder = _frames_folder(path.parent / FRAMES_FOLDER, key)
    driver = ExpressionDriver(head)
    rest = _resting_pose(track)
    with VideoWriter(path, track.fps) as video:
        for number, weights in enumerate(track.frames()):
            stored = folder / f"frame_{number:05d}.png"
            if not stored.is_file():
                turn, nod = _turn(track, number, rest) if head_pose else (0.0, 0.0)
                camera = Camera.orbit(yaw_deg - turn, float(np.clip(style.pitch_deg - nod, -90, 90)))
                save_image(style.image(style.frame(driver.at(weights), camera)), stored)
            with open_image(stored) as image:
                video.write(enlarged(np.array(image)))
            step()
    for stored in folder.glob("frame_*.png"):
        stored.unlink()
    (folder / _KEY_FILE).unlink(missing_ok=True)
    folder.rmdir()


def clip_of(track: BlendshapeTrack, name: str) -> Clip:
    """Return the track as an animation of a GLB file."""
    return Clip(name, [round(float(t), 4) for t in track.times], track.frames())


def write_animated_mesh(
    head: Head, track: BlendshapeTrack, paths: Sequence[Path], settings: MeshSettings, *, unit: MeshUnit | None = None
) -> None:
    """Write meshes that follow a track; the head's own expression is taken away first.

    Args:
        head: of a model with an attribute encoder.
        track: weights.
        paths: ``.glb`` and ``.usdz`` get an animation ``recording``; a name without suffix becomes a folder of OBJ
            files, ``frame_00000.obj`` and so on, one a frame.
        settings: of the mesh.
        unit: of the files; None for the mesh's own.

    Raises:
        NoSurfaceError: when the head has no surface.
        PanoHeadError: when a file cannot be written.
    """
    from panohead.mesh.export import write_mesh

    mesh = ExpressionDriver(head).at({}).mesh(**{**vars(settings), "morphs": True})
    for path in paths:
        if path.suffix:
            write_mesh(mesh, path, unit=unit, clips=[clip_of(track, "recording")])
            continue
        still, known = without_targets(mesh), targets_of(mesh).keys()
        for number, weights in enumerate(track.frames()):
            still.vertices = moved(mesh, {name: weight for name, weight in weights.items() if weight and name in known})
            write_mesh(still, path / f"frame_{number:05d}.obj", unit=unit)


def _frames_folder(folder: Path, key: str) -> Path:
    """Make the folder of frames, or take the one of an earlier call with the same key; frames of another go first."""
    folder.mkdir(parents=True, exist_ok=True)
    mark, digest = folder / _KEY_FILE, hashlib.sha256(key.encode()).hexdigest()
    try:
        same = read_text(mark).strip() == digest
    except (OSError, ValueError):
        same = False
    if not same:
        for stored in folder.glob("frame_*.png"):
            stored.unlink()
        with atomic_path(mark) as temporary:
            temporary.write_text(digest)
    return folder


def _resting_pose(track: BlendshapeTrack) -> Float[np.ndarray, " angle"]:
    """Return the median pose: how the phone was held, not how the head turned."""
    return np.zeros(3) if track.pose is None else np.median(track.pose, axis=0)


def _turn(track: BlendshapeTrack, number: int, rest: Float[np.ndarray, " angle"]) -> tuple[float, float]:
    if track.pose is None:
        raise PanoHeadError("the recording holds no head pose (HeadYaw, HeadPitch, HeadRoll); leave --head-pose out")
    yaw, pitch, _ = np.degrees(track.pose[number] - rest)
    turn, nod = np.clip(yaw, -_MAX_TURN_DEG, _MAX_TURN_DEG), np.clip(pitch, -_MAX_NOD_DEG, _MAX_NOD_DEG)
    return float(turn), float(nod)
