"""``panohead reconstruct``: photos of one person to a head."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from panohead.cli.common import TRANSPARENT, Debug, Model, counting, parse_background, say
from panohead.cli.detector_options import DetectorOptions
from panohead.cli.mesh_options import MeshOptions
from panohead.errors import PanoHeadError, UsageError

if TYPE_CHECKING:
    from panohead.alignment.detectors import Detectors
    from panohead.alignment.pose_file import GivenPose
    from panohead.cli.reconstruct_output import Digests
    from panohead.gallery import ViewStyle
    from panohead.geometry import Camera
    from panohead.inversion import FastConfig, ImageLoss, OfficialConfig, OptimizationLog, ReconstructedHead

_WEIGHT_FREE = "Laplacian pyramid, gradients and SSIM; no weights (give --lpips for LPIPS-VGG)"


@dataclass(kw_only=True)
class Reconstruct(MeshOptions, DetectorOptions, Model):
    """Photos of one person to a head. Ctrl-C keeps the best so far; --resume goes on."""

    photos: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """One to eight photos of one person, from any side."""
    out: Path
    """Folder for the results."""
    preset: Literal["fast", "official"] = "fast"
    """official: the original's protocol (one photo, a thousand steps; masks are not used)."""
    aligned: bool = False
    """The photos are crops in the official frame; --labels has their cameras."""
    labels: Path | None = None
    """JSON with the cameras of aligned crops (default: dataset.json beside the first)."""
    masks: Path | None = None
    """Folder with your own masks, by the same names: of aligned crops, or of whole photos."""
    lpips: Path | None = None
    """Weights of LPIPS-VGG; without them a loss that needs none is used."""
    seed: int | None = None
    """Of all random numbers."""
    steps: int | None = None
    """Of the search on whole pictures (the preset's own if not given)."""
    tuning_steps: int | None = None
    """Of the tuning; 0 for none."""
    unseen_weight: float | None = None
    """How much tuning must leave sides alone that no photo shows (fast only); 0 for not at all."""
    resume: bool = False
    """Go on with an interrupted run in OUT."""
    frames: int = 48
    """Of the turntable."""
    background: str | None = None
    """Behind the head in turntable and views: a colour (#ffffff), a picture's path, or transparent: then the turntable
    is a .webm and a folder of PNG files, with alpha."""
    mesh: tuple[Literal["glb", "obj", "ply", "stl", "mrc"], ...] = ("glb", "ply")
    """Formats of the head's mesh: head.glb, mesh.ply, ... (mrc: the density volume)."""
    mesh_resolution: int = 200
    """Nodes per side of the mesh's grid."""
    debug: Debug = False

    def run(self) -> None:
        """Reconstruct and write everything."""
        from panohead.cli.progress import optimization_bar, stop_on_interrupt
        from panohead.cli.reconstruct_output import STATE, digests, open_folder
        from panohead.inversion import OptimizationLog

        self._check()
        config = self._config()
        cameras, masks = self._cameras(), self._masks()
        poses, tools = self._poses(), self._tools()
        self._style()  # a mistake in --background is told now, not in the end
        predictor = self.load()
        loss = self._loss()
        photos = digests(self.photos)
        out = open_folder(self.out, photos, resume=self.resume)
        with stop_on_interrupt() as asked, optimization_bar(config) as (advance, note):
            log = OptimizationLog(advance, note, should_stop=asked, path=out / STATE, resume=self.resume)
            head = predictor.reconstruct(
                self.photos,
                cameras,
                masks=masks,
                poses=poses,
                preset=self.preset,
                config=config,
                loss=loss,
                seed=self.seed,
                log=log,
                tools=tools,
            )
        if log.stopped:
            say("stopped; writing the best so far (Ctrl-C again to leave at once)")
        self._write(head, out, photos)
        self._conclude(log, out)

    def _conclude(self, log: "OptimizationLog", out: Path) -> None:
        from panohead.cli.reconstruct_output import STATE

        if log.stopped:
            say(f"stopped early: the best so far is in {out}; the same command with --resume goes on")
            raise KeyboardInterrupt
        (out / STATE).unlink(missing_ok=True)
        say(f"wrote the head to {out}; look at {out / 'report.html'}")

    def _check(self) -> None:
        from panohead.inversion.load_photos import MAX_PHOTOS

        wrong = {
            f"{len(self.photos)} photos were given; give 1 to {MAX_PHOTOS} of one person": (
                not 1 <= len(self.photos) <= MAX_PHOTOS
            ),
            "--labels goes with --aligned": not self.aligned and self.labels is not None,
            "--poses is for ordinary photos; aligned crops have --labels": self.aligned and self.poses is not None,
            "--pose-model, --head-model and --mask-model are for ordinary photos, not for aligned crops": (
                self.aligned and bool(self.models.files)
            ),
            "two photos have the same file name; labels and masks are found by it, so rename one": (
                (self.aligned or self.masks is not None)
                and len({photo.name for photo in self.photos}) < len(self.photos)
                and len(set(self.photos)) == len(self.photos)
            ),
            "--preset official takes one photo": self.preset == "official" and len(self.photos) > 1,
            "--seed must not be negative": self.seed is not None and self.seed < 0,
            "--frames must be positive": self.frames < 1,
            **self.mesh_mistakes(),
            "--steps must be positive and --tuning-steps not negative": (
                (self.steps is not None and self.steps < 1) or (self.tuning_steps or 0) < 0
            ),
            "--unseen-weight goes with the preset fast and is not negative": (
                self.unseen_weight is not None and (self.preset != "fast" or self.unseen_weight < 0)
            ),
        }
        for sentence, is_wrong in wrong.items():
            if is_wrong:
                raise UsageError(sentence)
        self.check_detectors()
        self.check_packages()
        for photo in self.photos:
            if photo.is_dir():
                raise PanoHeadError(f"{photo} is a folder; give the photos in it, at most 8 of one person")
            if not photo.is_file():
                raise PanoHeadError(f"there is no photo {photo}; check the path")

    def _config(self) -> "FastConfig | OfficialConfig":
        from panohead.inversion import FastConfig, OfficialConfig

        config: Any = FastConfig() if self.preset == "fast" else OfficialConfig()
        names = {"steps": "fine_steps" if self.preset == "fast" else "steps"}
        given = {
            names.get(name, name): getattr(self, name)
            for name in ("steps", "tuning_steps", "unseen_weight")
            if getattr(self, name) is not None
        }
        changed: FastConfig | OfficialConfig = replace(config, **given)
        return changed

    def _loss(self) -> "ImageLoss | None":
        if self.lpips is None:
            return None
        from panohead.inversion import FeatureLoss
        from panohead.perceptual.lpips_vgg import load_lpips_vgg

        return FeatureLoss(load_lpips_vgg(self.lpips).to(self.device))

    def _cameras(self) -> "list[Camera] | None":
        from panohead.inversion.labels import read_cameras

        if not self.aligned:
            return None
        labels = self.photos[0].parent / "dataset.json" if self.labels is None else self.labels
        return read_cameras(labels, self.photos)

    def _masks(self) -> "list[Path | None] | None":
        from panohead.alignment.photo_mask import read_own_mask

        if self.masks is None:
            return None
        found = [read_own_mask(self.masks, photo.name) for photo in self.photos]
        for photo, mask in zip(self.photos, found, strict=True):
            if mask is None:
                raise PanoHeadError(f"there is no mask of {photo.name} in {self.masks}; give {photo.stem}.png there")
        return found

    def _poses(self) -> "list[GivenPose | None] | None":
        from panohead.alignment.pose_file import find_pose, notes_on_poses, read_poses

        if self.poses is None:
            return None
        listed, names = read_poses(self.poses), [photo.as_posix() for photo in self.photos]
        for note in notes_on_poses(listed, names):
            say(f"{self.poses}: {note}")
        return [find_pose(listed, name) for name in names]

    def _tools(self) -> "Detectors | None":
        """What finds heads, and compares labels with faces where it is installed."""
        from panohead.alignment.detector_check import check_models
        from panohead.alignment.detectors import open_detectors
        from panohead.alignment.face_landmarks import import_mediapipe

        check_models(self.models)
        if self.aligned:
            try:
                import_mediapipe()
            except PanoHeadError:
                return None
        return open_detectors(self.models)

    def _write(self, head: "ReconstructedHead", out: Path, photos: "Digests") -> None:
        from panohead.gallery import CONTACT_YAWS, write_results
        from panohead.inversion.report import write_report

        with counting("writing", len(CONTACT_YAWS) + self.frames + 1) as step:
            results = write_results(
                head,
                out,
                self._style(),
                frames=self.frames,
                formats=self.mesh,
                settings=self.mesh_settings(),
                step=step,
            )
        if results.missing_mesh:
            say(f"no mesh was written: {results.missing_mesh}")
        saved = head.save(out, checkpoint=self.checkpoint, photos=photos)
        notes = [*head.log.notes, *results.notes]
        if head.log.stopped:
            notes.append("The run was stopped early; this is the best so far.")
        problems = write_report(
            head,
            out / "report.html",
            preset=self.preset,
            loss=_WEIGHT_FREE if self.lpips is None else f"LPIPS-VGG from {self.lpips.name}",
            notes=notes,
            files=[*results.files, *(path.name for path in saved)],
        )
        for mismatch in problems:
            say(mismatch)

    def _style(self) -> "ViewStyle":
        from panohead.gallery import ViewStyle

        if self.background == TRANSPARENT:
            return ViewStyle(transparent=True)
        return ViewStyle(background=None if self.background is None else parse_background(self.background))
