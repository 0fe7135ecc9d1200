"""``panohead reconstruct``: photos of one person to a head."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from panohead.cli.common import Debug, Model, counting, output_folder, parse_background, say
from panohead.errors import PanoHeadError, UsageError

if TYPE_CHECKING:
    from panohead.geometry import Camera
    from panohead.inversion import FastConfig, Journal, OfficialConfig, PictureLoss, ReconstructedHead, Step

_STATE = "reconstruct.state"
_WEIGHT_FREE = "Laplacian pyramid, gradients and SSIM; no weights (give --lpips for LPIPS-VGG)"
_UNITS = {"screen": 1, "search, coarse": 4, "search": 14, "tune": 20}
"""What a step of a phase costs beside the others, for the time left."""


@dataclass(kw_only=True)
class Reconstruct(Model):
    """Photos of one person to a head. Ctrl-C keeps the best so far; --resume goes on."""

    photos: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """One to eight photos of one person, from any side."""
    out: Path
    """Folder for the results."""
    preset: Literal["fast", "official"] = "fast"
    """official: the original's protocol (one photo, many hours on a CPU)."""
    aligned: bool = False
    """The photos are crops in the official frame; --labels has their cameras."""
    labels: Path | None = None
    """JSON with the cameras of aligned crops (default: dataset.json beside the first)."""
    masks: Path | None = None
    """Folder with masks of aligned crops: the same file names, as PNG."""
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
    """Behind the head in turntable and views: a colour (#ffffff) or a picture's path."""
    mesh_resolution: int = 200
    """Nodes per side of the mesh's grid."""
    mesh_level: float = 10.0
    """Density at the surface."""
    debug: Debug = False

    def run(self) -> None:
        """Reconstruct and write everything."""
        from panohead.inversion import Journal

        self._check()
        predictor = self.load()
        config, loss = self._config(), self._loss()
        cameras, masks = self._aligned_inputs()
        out = output_folder(self.out)
        with _stop_on_interrupt() as asked, _bar(config) as advance:
            journal = Journal(on_step=advance, should_stop=asked, path=out / _STATE, resume=self.resume)
            head = predictor.reconstruct(
                self.photos,
                cameras,
                masks=masks,
                preset=self.preset,
                config=config,
                loss=loss,
                seed=self.seed,
                journal=journal,
            )
        self._write(head, out)
        self._conclude(journal, out)

    def _conclude(self, journal: "Journal", out: Path) -> None:
        if journal.stopped:
            say(f"stopped early: the best so far is in {out}; the same command with --resume goes on")
            raise KeyboardInterrupt
        (out / _STATE).unlink(missing_ok=True)
        say(f"wrote the head to {out}; look at {out / 'report.html'}")

    def _check(self) -> None:
        wrong = {
            "--labels and --masks go with --aligned": not self.aligned and (self.labels or self.masks) is not None,
            "--frames must be positive and --mesh-resolution between 8 and 1024": (
                self.frames < 1 or not 8 <= self.mesh_resolution <= 1024
            ),
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
        for photo in self.photos:
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

    def _loss(self) -> "PictureLoss | None":
        if self.lpips is None:
            return None
        from panohead.inversion import FeatureLoss
        from panohead.perceptual.lpips_vgg import load_lpips_vgg

        return FeatureLoss(load_lpips_vgg(self.lpips).to(self.device))

    def _aligned_inputs(self) -> "tuple[list[Camera] | None, list[Path | None] | None]":
        from panohead.inversion.label_file import read_cameras

        if not self.aligned:
            return None, None
        labels = self.photos[0].parent / "dataset.json" if self.labels is None else self.labels
        masks: list[Path | None] | None = None
        if self.masks is not None:
            masks = [self.masks / f"{photo.stem}.png" for photo in self.photos]
        return read_cameras(labels, self.photos), masks

    def _write(self, head: "ReconstructedHead", out: Path) -> None:
        from panohead.gallery import CONTACT_YAWS, Look, write_sheet, write_turntable, write_views
        from panohead.inversion.report import write_report
        from panohead.mesh_export import write_mesh

        saved = head.save(out, checkpoint=self.checkpoint)
        look = Look(background=None if self.background is None else parse_background(self.background))
        notes = list(head.journal.remarks)
        if head.journal.stopped:
            notes.append("The run was stopped early; this is the best so far.")
        with counting("writing", len(CONTACT_YAWS) + self.frames + 1) as step:
            row = write_views(head, out / "views", CONTACT_YAWS, look, step=step)
            write_sheet({"": row}, out / "views.png", CONTACT_YAWS, cell_size=192)
            write_turntable(head, out / "turntable.mp4", frames=self.frames, fps=24, look=look, step=step)
            files = ["turntable.mp4", "views.png", *(path.name for path in saved)]
            try:
                mesh = head.mesh(self.mesh_resolution, level=self.mesh_level)
                for name in ("head.glb", "mesh.ply"):
                    write_mesh(mesh, out / name)
                files += ["head.glb", "mesh.ply"]
                notes.append(f"The photos saw {mesh.metadata['seen_share']:.0%} of the mesh's vertices.")
            except PanoHeadError as error:
                notes.append(f"There is no mesh: {error}")
                say(f"no mesh was written: {error}")
            step()
        loss = _WEIGHT_FREE if self.lpips is None else f"LPIPS-VGG from {self.lpips.name}"
        write_report(head, out / "report.html", preset=self.preset, loss=loss, notes=notes, files=files)


@contextmanager
def _bar(config: "FastConfig | OfficialConfig") -> Iterator[Callable[["Step"], None]]:
    """A progress bar whose time left counts what phases cost; phases that end early are jumped."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    counts = {
        "screen": getattr(config, "starts", 0),
        "search, coarse": getattr(config, "coarse_steps", 0),
        "search": getattr(config, "fine_steps", getattr(config, "steps", 0)),
        "tune": config.tuning_steps,
    }
    begins, total = {}, 0
    for phase, count in counts.items():
        begins[phase] = total
        total += count * _UNITS[phase]
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("spent"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task("starting", total=total)

        def advance(step: "Step") -> None:
            progress.update(
                task,
                completed=begins[step.phase] + step.number * _UNITS[step.phase],
                description=f"{step.phase} {step.number}/{step.total}, loss {step.losses['loss']:.4f}",
            )

        yield advance


@contextmanager
def _stop_on_interrupt() -> Iterator[Callable[[], bool]]:
    """Ctrl-C asks for the best so far; a second one interrupts at once."""
    asked = False

    def note(*_: object) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True

    try:
        before = signal.signal(signal.SIGINT, note)
    except ValueError:  # not the main thread
        yield lambda: False
        return
    try:
        yield lambda: asked
    finally:
        signal.signal(signal.SIGINT, before)
