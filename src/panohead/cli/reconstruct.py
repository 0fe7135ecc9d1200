"""``panohead reconstruct``: photos of one person to a head."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from panohead.cli.common import TRANSPARENT, DetectorOptions, Model, counting, parse_background
from panohead.cli.mesh_options import SplatOptions
from panohead.cli.results_folder import open_results, write_settings
from panohead.cli.running.common_options import Common, CommonOptions
from panohead.cli.running.messages import answer, say
from panohead.errors import PanoHeadError, UsageError
from panohead.limits import COUNT, FRAMES, SEED, STEPS, WEIGHT, NumberRange

if TYPE_CHECKING:
    from panohead.alignment.detectors import Detectors
    from panohead.alignment.photo_area import PhotoCorners
    from panohead.alignment.pose_file import GivenPose
    from panohead.gallery import ViewStyle
    from panohead.geometry import Camera
    from panohead.inversion import HeadEdit, ImageLoss, OutputFolder, ReconstructedHead
    from panohead.inversion.load_photos import MaskInput
    from panohead.predictor import Predictor

_WEIGHT_FREE = "Laplacian pyramid, gradients and SSIM; no weights (give --lpips for LPIPS-VGG)"


@dataclass(kw_only=True)
class Reconstruct(SplatOptions, DetectorOptions, Model):
    """Photos of one person to a head. Ctrl-C keeps the best so far; --resume continues."""

    photos: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """One to eight photos of one person, from any side; with --each photos and folders of them, of any people."""
    out: Path
    """Folder for the results."""
    preset: Literal["fast", "official"] = "fast"
    """Method; official: the original's protocol (one photo, a thousand steps; masks are not used)."""
    start: Literal["encoder", "mean", "random"] | None = None
    """Start of the search: the mean head (the default where the checkpoint has an attribute encoder), a photo encoder's
    guess (otherwise, where it has one), or the best of random heads (the default elsewhere)."""
    quick: bool = False
    """The photo encoder's guess alone, without search and tuning."""
    each: bool = False
    """One head a photo, in folders of OUT by the photos' names, with a contact page; repeat it to continue."""
    aligned: bool = False
    """The photos are crops in the official frame; --labels has their cameras."""
    labels: Path | None = None
    """JSON with the cameras of aligned crops (default: dataset.json beside the first)."""
    masks: Path | None = None
    """Folder or zip with your own masks, by the same names: of aligned crops, or of whole photos."""
    head: Annotated[tuple[int, ...], COUNT] = ()
    """Number of the head to take of several (a number for each photo); the report's overlay shows the numbers."""
    lpips: Path | None = None
    """Weights of LPIPS-VGG; without them a loss that needs none is used."""
    seed: Annotated[int | None, SEED] = None
    """Seed of all random numbers (the preset's own if not given)."""
    steps: Annotated[int | None, STEPS] = None
    """Number of search steps on whole images (the preset's own if not given)."""
    tuning_steps: Annotated[int | None, NumberRange(0, STEPS.high)] = None
    """Number of tuning steps on whole images (fast takes 1.2 times as many on raw ones before them); 0 for none."""
    unseen_weight: Annotated[float | None, WEIGHT] = None
    """Weight that keeps tuning from changing sides that no photo shows (fast only); 0 for none."""
    symmetry: bool = False
    """Let the mirrored photo say something about the side that no photo shows (fast only)."""
    without: tuple[Literal["glasses", "headwear", "beard", "lipstick"], ...] = ()
    """Things to leave out of the head (models with an attribute encoder, such as demo)."""
    neutral: bool = False
    """A head without expression that looks straight ahead (models with an attribute encoder)."""
    even_light: bool = False
    """A head in even white light (models with an attribute encoder)."""
    resume: bool = False
    """Continue an interrupted run in OUT."""
    frames: Annotated[int, FRAMES] = 48
    """Number of frames of the turntable."""
    background: str | None = None
    """Background of turntable and views: a color (#ffffff), an image's path, or transparent: then the turntable is a
    .webm and a folder of PNG files, with alpha."""
    mesh: tuple[Literal["glb", "obj", "ply", "stl", "3mf", "usdz", "mrc"], ...] = ("glb", "ply")
    """Formats of the head's mesh: head.glb, mesh.ply, ... (mrc: the density volume)."""
    mesh_resolution: int = 200
    """Nodes per side of the mesh's grid."""
    watermark: bool = False
    """Also an invisible watermark in images and videos, which survives copies without metadata (panohead verify)."""
    overwrite: bool = False
    """Write into OUT even if it holds results of another command, or the head of other photos."""
    common: Common = field(default_factory=CommonOptions)

    def run(self) -> None:
        """Reconstruct the head and write everything to the folder."""
        self._check()
        self._check_preset()
        if self.each:
            from panohead.cli.reconstruct_each import reconstruct_each

            reconstruct_each(self)
            return
        self._check_files()
        inputs = self.inputs()
        self.note_poses()
        head, folder = self.make(inputs, self.tools(), *self.load_all())
        if head.log.stopped:
            answer(f"stopped early: the best so far is in {folder}; the same command with --resume continues")
            raise KeyboardInterrupt
        answer(f"wrote the head to {folder}; look at {folder / 'report.html'}")

    def load_all(self) -> "tuple[Predictor, ImageLoss | None]":
        """Load generator and loss, and check that there is an encoder where one is asked for."""
        from panohead.inversion.encoder_guess import check_encoder
        from panohead.inversion.head_edit import check_edit
        from panohead.inversion.reconstruct import chosen_start

        self._style()
        predictor = self.load()
        encoder = predictor.photo_encoder
        check_edit(self._edit(), predictor.attribute_encoder, self._preset())
        people = predictor.attribute_encoder is not None
        start = chosen_start(self._preset(), self.start, has_encoder=encoder is not None, among_people=people)
        if start == "encoder":
            check_encoder(encoder, predictor.generator)
        return predictor, self._loss()

    def inputs(self) -> dict[str, Any]:
        """Return what is given beside the photos, as arguments of :meth:`Predictor.reconstruct`."""
        return {
            "cameras": self._cameras(),
            "masks": self._masks(),
            "corners": self._corners(),
            "poses": self._poses(),
            "heads": self.head or None,
        }

    def make(
        self, inputs: dict[str, Any], tools: "Detectors | None", predictor: "Predictor", loss: "ImageLoss | None"
    ) -> "tuple[ReconstructedHead, Path]":
        """Reconstruct one head and write it; return it and its folder."""
        from panohead.cli.running.progress import optimization_bar, stop_on_interrupt
        from panohead.files.folder_lock import locked_folder
        from panohead.inversion import OptimizationCallbacks, find_preset, open_output_folder

        preset, config = find_preset(self._preset()), self._config()
        out = open_results(self.out, "reconstruct", overwrite=self.overwrite)
        with locked_folder(out, "reconstructs"):
            folder = open_output_folder(out, self.photos, resume=self.resume, replace=self.overwrite)
            for note in folder.notes:
                say(note)
            with stop_on_interrupt() as asked, optimization_bar(preset.phases(config)) as (advance, show_note):
                head = predictor.reconstruct(
                    self.photos,
                    **inputs,
                    preset=self._preset(),
                    config=config,
                    start=self.start,
                    edit=self._edit(),
                    loss=loss,
                    seed=self.seed,
                    callbacks=OptimizationCallbacks(on_step=advance, on_note=show_note, should_stop=asked),
                    resume_file=folder.resume_file,
                    tools=tools,
                )
            if head.log.stopped:
                say("stopped; writing the best so far (Ctrl-C again to leave at once)")
            self._write(head, folder)
            write_settings(folder.path, "reconstruct", self, predictor)
            if not head.log.stopped:
                folder.finish()
        return head, folder.path

    def _preset(self) -> Literal["fast", "official", "quick"]:
        return "quick" if self.quick else self.preset

    def _config(self) -> Any:
        from panohead.inversion import find_preset
        from panohead.inversion.fast_config import SYMMETRY_WEIGHT

        preset = find_preset(self._preset())
        return preset.configure(
            steps=self.steps,
            tuning_steps=self.tuning_steps,
            unseen_weight=self.unseen_weight,
            symmetry_weight=SYMMETRY_WEIGHT if self.symmetry else None,
        )

    def _edit(self) -> "HeadEdit":
        from panohead.inversion import HeadEdit

        return HeadEdit(self.without, neutral=self.neutral, even_light=self.even_light)

    def _check_preset(self) -> None:
        """Refuse numbers and a start that the preset does not take, before any work."""
        from panohead.inversion import find_preset
        from panohead.inversion.reconstruct import chosen_start

        find_preset(self._preset()).check(self._config(), 1 if self.each else len(self.photos), self.seed)
        chosen_start(self._preset(), self.start, has_encoder=False)
        self._edit().check(self._preset())

    def _check(self) -> None:
        """Refuse options that do not go together; what the library takes, it checks itself."""
        from panohead.inversion.output_folder import REPORT_FILE

        wrong = {
            "--labels goes with --aligned": not self.aligned and self.labels is not None,
            "--poses is for ordinary photos; aligned crops have --labels": self.aligned and self.poses is not None,
            "--pose-model, --head-model and --mask-model are for ordinary photos, not for aligned crops": (
                self.aligned and bool(self.models.files)
            ),
            "--head is for ordinary photos; an aligned crop is of one head": self.aligned and bool(self.head),
            "--quick is the encoder's guess; it does not go with --preset official": (
                self.quick and self.preset != "fast"
            ),
            "--resume continues what --overwrite would replace; choose one": self.resume and self.overwrite,
            "--quick leaves nothing to resume": self.quick and self.resume,
            "--each continues by itself; leave --resume out": self.each and self.resume,
            "--each takes the most prominent head of every photo; leave --head out, or give boxes in --poses": (
                self.each and bool(self.head)
            ),
            "--head counts from 1": any(number < 1 for number in self.head),
            f"--head needs a number for each of the {len(self.photos)} photos": len(self.head)
            not in (0, len(self.photos)),
        }
        for sentence, is_wrong in wrong.items():
            if is_wrong:
                raise UsageError(sentence)
        self.check_detectors()
        self.check_surface()
        if self.html is not None and self.html.lower() == REPORT_FILE:
            raise UsageError(f"--html {self.html} is the name of the report; give another")

    def _check_files(self) -> None:
        from panohead.inversion.load_photos import check_photo_files

        check_photo_files(self.photos, found_by_name=self.aligned or self.masks is not None)

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
        return read_cameras(self._labels(), self.photos)

    def _labels(self) -> Path:
        return self.photos[0].parent / "dataset.json" if self.labels is None else self.labels

    def _corners(self) -> "list[PhotoCorners | None] | None":
        from panohead.inversion.labels import read_corners

        return read_corners(self._labels(), self.photos) if self.aligned else None

    def _masks(self) -> "list[MaskInput | None] | None":
        from panohead.inversion.load_photos import find_masks

        return None if self.masks is None else find_masks(self.masks, self.photos)

    def _poses(self) -> "list[GivenPose | None] | None":
        from panohead.alignment.pose_file import find_pose, read_poses

        if self.poses is None:
            return None
        listed = read_poses(self.poses)
        return [find_pose(listed, photo.as_posix()) for photo in self.photos]

    def note_poses(self) -> None:
        """Print what is odd about the poses, seen from all photos."""
        from panohead.alignment.pose_file import notes_on_poses, read_poses

        if self.poses is not None:
            for note in notes_on_poses(read_poses(self.poses), [photo.as_posix() for photo in self.photos]):
                say(f"{self.poses}: {note}")

    def tools(self) -> "Detectors | None":
        """Return detectors of heads; for aligned crops those that compare labels with faces, if they are installed."""
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

    def _write(self, head: "ReconstructedHead", folder: "OutputFolder") -> None:
        from panohead.gallery import CONTACT_YAWS, write_results
        from panohead.head_page import PAGE_FRAMES
        from panohead.inversion.output_folder import REPORT_FILE
        from panohead.inversion.report import write_report

        steps = len(CONTACT_YAWS) + self.frames + 1 + PAGE_FRAMES + (self.splat_steps if self.splats else 0)
        with counting("writing", steps) as step:
            results = write_results(
                head,
                folder,
                self._style(),
                frames=self.frames,
                formats=self.mesh,
                settings=self.mesh_settings(),
                unit=self.mesh_unit,
                page=self.html,
                splats=self.splats,
                splat_settings=self.splat_settings(),
                step=step,
            )
        if results.missing_mesh:
            answer(f"no mesh was written: {results.missing_mesh}")
        saved = head.save(folder.path, checkpoint=self.checkpoint, photos=folder.digests)
        notes = [*head.log.notes, *results.notes]
        if head.log.stopped:
            notes.append("The run was stopped early; this is the best so far.")
        problems = write_report(
            head,
            folder.path / REPORT_FILE,
            preset=self._preset(),
            loss=self._loss_name(),
            notes=notes,
            files=[*results.files, *(path.name for path in saved)],
            viewer=results.viewer,
        )
        for problem in problems:
            say(problem)

    def _loss_name(self) -> str:
        if self.quick:
            return "none; this is the photo encoder's guess."
        return _WEIGHT_FREE if self.lpips is None else f"LPIPS-VGG from {self.lpips.name}"

    def _style(self) -> "ViewStyle":
        from panohead.gallery import ViewStyle

        if self.background == TRANSPARENT:
            return ViewStyle(transparent=True)
        return ViewStyle(background=None if self.background is None else parse_background(self.background))
