"""Commands that make videos: ``panohead interpolate`` from head to head, ``panohead animate`` of a recording."""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from panohead.cli.common import (
    TRANSPARENT,
    VIDEO_SUFFIXES,
    Model,
    changed_options,
    check_needed,
    counting,
    parse_background,
    parse_numbers,
)
from panohead.cli.ranges import check_count
from panohead.cli.results_folder import open_results, write_settings
from panohead.cli.running.common_options import Common, CommonOptions
from panohead.cli.running.messages import answer, say
from panohead.errors import NoSurfaceError, PanoHeadError, UsageError
from panohead.limits import FPS, FRAMES, NEUTRAL_S, PITCH_DEG, SEED, TRUNCATION_PSI, YAW_DEG

if TYPE_CHECKING:
    from panohead.attributes.blendshape_file import BlendshapeTrack
    from panohead.gallery import ViewStyle
    from panohead.head import Head
    from panohead.predictor import Predictor

_SEED = "seed:"
_MESH_NAMES = {"glb": "head.glb", "usdz": "head.usdz", "obj": "head_obj"}
"""Name in OUT of each kind of mesh; without a suffix a folder."""


@dataclass(kw_only=True)
class Interpolate(Model):
    """A video that walks from head to head along a smooth curve in latent space."""

    out: Path
    """Folder for the video."""
    seeds: str = "0-3"
    """Seeds of the heads on the way, in this order: numbers and ranges, such as 0-3,8."""
    truncation_psi: Annotated[float, TRUNCATION_PSI] = 0.7
    """1 for full variety, smaller for typical heads."""
    frames: Annotated[int, FRAMES] = 24
    """Frames from one head to the next."""
    fps: Annotated[float, FPS] = 24.0
    """Frames per second."""
    loop: bool = True
    """Return to the first head at the end."""
    yaw_sweep: Annotated[float, YAW_DEG] = 30.0
    """Degrees by which the camera sways to both sides between two heads."""
    pitch: Annotated[float, PITCH_DEG] = 0.0
    """Height of the camera in degrees."""
    video_format: Literal["mp4", "gif", "webm", "png"] = "mp4"
    """Format of the video; png: a folder of numbered files."""
    watermark: bool = False
    """Also an invisible watermark in images and videos, which survives copies without metadata (panohead verify)."""
    overwrite: bool = False
    """Write into OUT even if it holds results of another command."""
    common: Common = field(default_factory=CommonOptions)

    def run(self) -> None:
        """Sample the heads and write the video."""
        seeds = check_count(parse_numbers(self.seeds), "--seeds")
        if len(seeds) < 2:
            raise UsageError(f"a walk needs at least two --seeds; give more than {self.seeds}, such as 0-3")
        from panohead.gallery import ViewStyle, write_walk

        predictor = self.load()
        heads = [predictor.sample(seed, truncation_psi=self.truncation_psi) for seed in seeds]
        out = open_results(self.out, "interpolate", overwrite=self.overwrite)
        path = out / f"walk{VIDEO_SUFFIXES[self.video_format]}"
        frames = len(heads) * self.frames if self.loop else (len(heads) - 1) * self.frames + 1
        with counting("rendering", frames) as step:
            write_walk(
                predictor,
                heads,
                path,
                count=self.frames,
                fps=self.fps,
                loop=self.loop,
                yaw_sweep_deg=self.yaw_sweep,
                style=ViewStyle(pitch_deg=self.pitch),
                step=step,
            )
        write_settings(out, "interpolate", self, predictor, seeds)
        answer(f"wrote {path}")


@dataclass(kw_only=True)
class Animate(Model):
    """A head that follows recorded ARKit weights or the video of a face: a video from the model, and an animated GLB.

    Repeat the command to continue one that was interrupted.
    """

    head: Annotated[str, tyro.conf.Positional]
    """Folder of panohead reconstruct, or seed:3 for a sampled head."""
    out: Path
    """Folder for animation.mp4 and head.glb."""
    blendshapes: Path | None = None
    """CSV of Live Link Face, or JSON with ARKit weights for each frame."""
    video: Path | None = None
    """Video of one face, at rest at first, instead of --blendshapes; OUT gets the recording as recording.csv, too."""
    neutral_seconds: Annotated[float, NEUTRAL_S] = 0.5
    """Seconds at the beginning of the video in which the face is at rest."""
    write: tuple[Literal["video", "glb", "usdz", "obj"], ...] = ("video", "glb")
    """Files to write; obj: a folder with a mesh for each frame."""
    fps: Annotated[float | None, FPS] = None
    """Frames per second (the recording's own if not given); frames between recorded ones are interpolated."""
    video_format: Literal["mp4", "gif", "webm"] = "mp4"
    """Format of the video."""
    truncation_psi: Annotated[float, TRUNCATION_PSI] = 0.7
    """Truncation of a sampled head."""
    yaw: Annotated[float, YAW_DEG] = 0.0
    """Side from which the head is seen, in degrees; 0 is the front."""
    pitch: Annotated[float, PITCH_DEG] = 0.0
    """Height of the camera in degrees."""
    head_pose: bool = False
    """Turn the head as the recording or the video says (yaw and pitch, measured from their median)."""
    background: str | None = None
    """Background: a color (#ffffff) or an image's path."""
    watermark: bool = False
    """Also an invisible watermark in images and videos, which survives copies without metadata (panohead verify)."""
    overwrite: bool = False
    """Write into OUT even if it holds results of another command."""
    common: Common = field(default_factory=CommonOptions)

    def run(self) -> None:
        """Read the recording or the video, then render."""
        from panohead.gallery.animations import ExpressionDriver, write_animated_mesh, write_animation
        from panohead.mesh.settings import MeshSettings

        seed = self._check()
        style = self._style()
        track = None if self.blendshapes is None else self._read(self.blendshapes)
        frames = 0 if self.video is None else self._probe(self.video)
        predictor = self.load()
        head = self._head(predictor, seed)
        ExpressionDriver(head)  # a model without expressions is refused before anything is written
        out = open_results(self.out, "animate", overwrite=self.overwrite)
        if track is None:
            assert self.video is not None
            track = self._captured(self.video, out, frames)
        written = []
        if "video" in self.write:
            path = out / f"animation{VIDEO_SUFFIXES[self.video_format]}"
            with counting("rendering", len(track.times)) as step:
                write_animation(
                    head,
                    track,
                    path,
                    style=style,
                    yaw_deg=self.yaw,
                    head_pose=self.head_pose,
                    key=self._key(predictor, track),
                    step=step,
                )
            written.append(str(path))
        meshes = [out / _MESH_NAMES[kind] for kind in self.write if kind != "video"]
        if meshes:
            try:
                write_animated_mesh(head, track, meshes, MeshSettings(resolution=200))
                written += map(str, meshes)
            except NoSurfaceError as error:
                if not written:
                    raise
                answer(f"no mesh was written: {error}")
        write_settings(out, "animate", self, predictor, None if seed is None else [seed])
        answer(f"wrote {' and '.join(written)}: {len(track.times)} frames, {track.seconds:.1f} s")

    def _check(self) -> int | None:
        """Check the options and return the seed of a sampled head; None for a folder."""
        if (self.blendshapes is None) == (self.video is None):
            raise UsageError("give --blendshapes FILE or --video FILE, one of the two")
        check_needed(self, "--video", self.video is not None, "neutral_seconds")
        if not self.write:
            raise UsageError("--write names nothing; give video, glb, usdz, obj or several")
        if "usdz" in self.write:
            from panohead.mesh.usdz import import_usd

            import_usd()
        if self.background == TRANSPARENT:
            raise UsageError("--background transparent is not for animations; give a color or an image")
        of_video = ("video_format", "yaw", "pitch", "head_pose", "background", "watermark")
        check_needed(self, "video in --write", "video" in self.write, *of_video)
        if not self.head.startswith(_SEED):
            if changed_options(self, "truncation_psi"):
                raise UsageError("--truncation-psi does nothing with a reconstructed head; leave it out")
            return None
        text = self.head.removeprefix(_SEED)
        if not text.isdecimal():
            raise UsageError(f"{self.head!r} is not understood; give seed:3, or a folder of panohead reconstruct")
        return SEED.whole(int(text), "the seed")

    def _read(self, path: Path) -> "BlendshapeTrack":
        from panohead.attributes.blendshape_file import read_blendshapes

        track = read_blendshapes(path)
        for note in track.notes:
            say(f"{path}: {note}")
        if self.head_pose and track.pose is None:
            raise PanoHeadError(f"{path} holds no HeadYaw, HeadPitch and HeadRoll; leave --head-pose out")
        return track.at(track.fps if self.fps is None else self.fps)

    def _probe(self, path: Path) -> int:
        """Return about how many frames a video has; what cannot be read is refused before the model is loaded."""
        from panohead.alignment.face_landmarks import import_mediapipe
        from panohead.media.video_frames import VideoFrames

        with VideoFrames(path, self.fps) as video:
            import_mediapipe()
            return max(1, round(video.seconds * video.fps))

    def _captured(self, path: Path, out: Path, frames: int) -> "BlendshapeTrack":
        """Return the track of the video and write it to OUT."""
        from panohead.attributes.blendshape_file import write_blendshapes
        from panohead.capture import CaptureSettings, capture_expressions

        settings, store = CaptureSettings(neutral_s=self.neutral_seconds), out / "landmarks.npz"
        with counting("finding the face", frames) as step:
            track = capture_expressions(path, settings, fps=self.fps, store=store, step=step)
        for note in track.notes:
            say(f"{path}: {note}")
        write_blendshapes(out / "recording.csv", track)
        return track

    def _head(self, predictor: "Predictor", seed: int | None) -> "Head":
        if seed is None:
            return predictor.open_reconstruction(Path(self.head))
        return predictor.sample(seed, truncation_psi=self.truncation_psi)

    def _style(self) -> "ViewStyle":
        from panohead.gallery import ViewStyle

        background = None if self.background is None else parse_background(self.background)
        return ViewStyle(pitch_deg=self.pitch, background=background)

    def _key(self, predictor: "Predictor", track: "BlendshapeTrack") -> str:
        """Return what decides the frames, so that only those of the same command are taken up again."""
        from panohead.files.regular import read_regular

        weights = hashlib.sha256(track.weights.tobytes()).hexdigest()
        pose = "" if track.pose is None else hashlib.sha256(track.pose.tobytes()).hexdigest()
        latent = Path(self.head) / "latent.npz"
        head = self.head if self.head.startswith(_SEED) else hashlib.sha256(read_regular(latent)).hexdigest()
        style = (self.yaw, self.pitch, self.head_pose, self.background, self.watermark)
        options = (self.truncation_psi, *style, track.fps)
        return f"{head} {predictor.sha256} {weights} {pose} {options}"
