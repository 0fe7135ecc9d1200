"""``panohead prepare``: photos to a training set."""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from panohead.alignment.quality_gates import QualityGates
from panohead.cli.common import DetectorOptions, counting
from panohead.cli.results_folder import refuse_others, write_settings
from panohead.cli.running.common_options import Common, CommonOptions
from panohead.cli.running.messages import answer, say
from panohead.errors import PanoHeadError, UsageError
from panohead.limits import HEAD_NUMBER, IMAGE_SIDE, WORKERS

if TYPE_CHECKING:
    from panohead.preparation.run import Engine
    from panohead.preparation.settings import PrepareSettings

_REASONS_SHOWN = 8


def _cores() -> int:
    return max(1, os.cpu_count() or 1)


@dataclass(kw_only=True)
class Prepare(DetectorOptions):
    """Turn photos into aligned crops, cameras, soft masks and a report. Stopped and started again, it continues."""

    photos: Annotated[tuple[str, ...], tyro.conf.Positional]
    """Files, folders, globs and zip archives."""
    out: Path
    """Folder of the dataset; an unfinished one is continued."""
    resolution: Annotated[int, IMAGE_SIDE] = 512
    """Side of the crops in pixels."""
    format: Literal["png", "webp", "jpg"] = "png"
    """File format of the crops (webp: lossless); masks are always PNG."""
    workers: Annotated[int, WORKERS] = field(default_factory=_cores)
    """Worker processes, of about 0.6 GB each."""
    all_faces: bool = False
    """Every head of a photo instead of the most prominent one."""
    head: Annotated[int, HEAD_NUMBER] = 1
    """Number of the head to take of several, in every photo; the report's overlays show the numbers. A box in --poses
    chooses in one photo."""
    ray: str | None = None
    """Address of a Ray cluster ("auto", "local"); photos and OUT must be on storage that all its machines reach."""
    gates: QualityGates = field(default_factory=QualityGates)
    overwrite: bool = False
    """Remove the prepared dataset that OUT holds and start again."""
    common: Common = field(default_factory=CommonOptions)

    def run(self) -> None:
        """Prepare with a progress bar, then print counts and reasons.

        Raises:
            PanoHeadError: when there are no files, the run cannot continue, or no photo gives a crop.
        """
        from panohead.preparation.report import write_report
        from panohead.preparation.run import finish, prepare_steps
        from panohead.system.text import printable

        settings = self.settings()
        refuse_others(self.out, "prepare")
        steps = prepare_steps(
            self.photos, settings, workers=self.workers, engine=self._engine(), overwrite=self.overwrite
        )
        first = next(steps)
        with counting("preparing", first.total) as advance:
            _repeat(advance, first.done)
            for _ in steps:
                advance()
        summary = finish(settings)
        report = write_report(settings.out, summary.notes)
        write_settings(settings.out, "prepare", self)
        answer(f"{summary.accepted} crops of {summary.photos} photos, {summary.coarse} of them with a coarse camera")
        for reason, count in list(summary.reasons.items())[:_REASONS_SHOWN]:
            say(f"  {count} left out: {printable(reason)}")
        for note in summary.notes[:_REASONS_SHOWN]:
            say(f"  {printable(note)}")
        if len(summary.notes) > _REASONS_SHOWN:
            say(f"  and {len(summary.notes) - _REASONS_SHOWN} more such rows; all are in the report")
        if not summary.accepted:
            raise PanoHeadError(
                f"no photo gave a crop, so {settings.out} holds no dataset; the reasons are in {report}"
            )
        answer(f"wrote the dataset to {settings.out}; the report is {report}")

    def settings(self) -> "PrepareSettings":
        """Return the settings of the pipeline.

        Raises:
            UsageError: for no photos, numbers out of range and paths that do not exist.
        """
        from panohead.alignment.pose_file import read_poses
        from panohead.preparation.settings import PrepareSettings

        if not self.photos:
            raise UsageError("no photos were given; give files, folders, globs or zip archives")
        if self.head > 1 and self.all_faces:
            raise UsageError("--head does not go with --all-faces")
        self.check_detectors()
        return PrepareSettings(
            out=self.out,
            size=self.resolution,
            format=self.format,
            all_faces=self.all_faces,
            head=self.head,
            gates=self.gates,
            poses={} if self.poses is None else read_poses(self.poses),
            masks=self.masks,
            **vars(self.models),
        )

    def _engine(self) -> "Engine | None":
        if self.ray is None:
            return None
        from panohead.preparation.ray_engine import ray_engine

        return ray_engine(self.ray, self.workers)


def _repeat(action: Callable[[], None], times: int) -> None:
    for _ in range(times):
        action()
