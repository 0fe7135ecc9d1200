"""The training loop: one for CPU, one GPU, many GPUs and many machines."""

import statistics
import time
from collections import deque
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import asdict, replace
from pathlib import Path

from panohead.data.loader import PhotoLoader
from panohead.system.peak_memory import peak_memory_gb
from panohead.training.augmentation.probability import AdaptiveProbability
from panohead.training.config import TrainConfig
from panohead.training.distributed.interruption import stop_on_signals
from panohead.training.distributed.ranks import Ranks, average, broadcast_module
from panohead.training.losses import RealBatch
from panohead.training.networks import TrainingNetworks, pack, unpack
from panohead.training.run.checkpoint import LoadedState, save_state
from panohead.training.run.log import RunLog
from panohead.training.run.progress import TrainingProgress
from panohead.training.run.report import write_report
from panohead.training.run.running_means import RunningMeans
from panohead.training.run.snapshots import DistanceMeter, save_grid, save_snapshot
from panohead.training.step import StepState, TrainingStep

SHOW_EVERY_S = 0.5
"""Between two movements of the progress line."""


class Training:
    """A run in progress on one device; :meth:`run` takes it to its end.

    Args:
        folder: of the run, see :mod:`panohead.training.run.folder`.
        players: as they start; their weights become equal on all devices.
        loaded: the state to continue from.
        quiet: no progress line.

    Raises:
        PanoHeadError: when the state or the batch does not fit.
    """

    def __init__(
        self,
        config: TrainConfig,
        loader: PhotoLoader,
        folder: Path,
        ranks: Ranks,
        networks: TrainingNetworks,
        *,
        loaded: LoadedState | None = None,
        quiet: bool = False,
    ) -> None:
        config.checked().micro_batches(ranks.world_size)
        self.config, self.loader, self.folder, self.ranks, self.networks = config, loader, folder, ranks, networks
        self.quiet = quiet or not ranks.is_first
        self.progress = TrainingProgress(config.start_nimg)
        self.augment = AdaptiveProbability(config.augment) if config.augment is not None else None
        self.running_means = RunningMeans()
        self.warnings: list[str] = []
        self._paces: deque[float] = deque(maxlen=50)
        self._shown = 0.0
        if loaded is not None:
            self._restore(loaded)
        for network in (networks.generator, networks.discriminator, networks.generator_ema):
            broadcast_module(network, ranks)
        self.meter = DistanceMeter(config, loader)

    def run(self) -> bool:
        """Train to the end. Returns False when it was asked to stop before; the state is saved either way."""
        total, nimg = self.config.total_kimg, self.progress.nimg
        # Only the first device writes.
        log_or_not = (
            RunLog(self.folder, total_kimg=total, resume_nimg=nimg, quiet=self.quiet)
            if self.ranks.is_first
            else nullcontext()
        )
        with stop_on_signals() as request, log_or_not as log:
            for warning in self.warnings:
                if log is not None:
                    log.note(warning)
            if self.progress.step == 0:
                self._log_and_evaluate(log, {})
            for photos in self._photos():
                if self.finished:
                    break
                self._advance(photos, log)
                if request.agreed(self.ranks) and not self.finished:
                    self._save()
                    break
        return self.finished

    @property
    def finished(self) -> bool:
        """Whether all photos have been shown."""
        return self.progress.nimg >= round(self.config.total_kimg * 1000)

    @property
    def images_per_second(self) -> float:
        """The median of the last steps; 0 before the first."""
        return statistics.median(self._paces) if self._paces else 0.0

    def _advance(self, photos: RealBatch, log: RunLog | None) -> None:
        """One step, and what is due after it."""
        ticks = self._ticks()
        self._step(photos)
        if log is not None and time.monotonic() - self._shown > SHOW_EVERY_S:
            # Reading the losses waits for the device, hence not at every step.
            log.progress(self.progress.nimg / 1000, self.running_means.means(), self.images_per_second)
            self._shown = time.monotonic()
        if self._ticks() != ticks or self.finished:
            self._tick(log)

    def _photos(self) -> Iterator[RealBatch]:
        for batch in self.loader:
            yield RealBatch.from_uint8(batch.image, batch.mask, batch.label)

    def _step(self, photos: RealBatch) -> None:
        began = time.monotonic()
        probability = self.augment.probability if self.augment is not None else 0.0
        state = StepState(self.progress.nimg, self.progress.step, probability)
        step = TrainingStep(self.config, self.networks, self.loader, self.ranks, self.running_means, state, photos)
        step.run()
        self.progress.nimg += self.config.batch
        self.progress.step += 1
        if self.augment is not None:
            self._adapt(self.augment, step)
        spent = time.monotonic() - began
        self.progress.seconds += spent
        self._paces.append(self.config.batch / spent)

    def _adapt(self, augment: AdaptiveProbability, step: TrainingStep) -> None:
        """Move the augmentation probability by what the discriminator said of photos (ADA)."""
        for logits in step.logits_real:
            augment.observe(logits)
        if self.progress.step % augment.config.interval == 0:
            augment.update(self.config.batch, **self._signs(augment))

    def _signs(self, augment: AdaptiveProbability) -> dict[str, float]:
        """What all devices have observed, as means over them: the rule needs the ratio only."""
        return average(dict(zip(("sign_sum", "count"), augment.sums(), strict=True)), self.ranks)

    def _ticks(self) -> int:
        """Ticks passed since the start of the run."""
        return int((self.progress.nimg - self.config.start_kimg * 1000) // (self.config.tick_kimg * 1000))

    def _due(self, ticks: int) -> bool:
        return self.finished or (ticks > 0 and self._ticks() % ticks == 0)

    def _tick(self, log: RunLog | None) -> None:
        """One line of statistics, and a state, a snapshot, a measurement when they are due."""
        scheduled = self.config.schedules.at(self.progress.nimg)
        figures = average(self.running_means.take(), self.ranks)
        record: dict[str, float | int | None] = {
            **asdict(self.progress),
            "kimg": self.progress.nimg / 1000,
            "images_per_second": self.images_per_second,
            **figures,
            **asdict(scheduled),
            "augment_probability": self.augment.probability if self.augment is not None else None,
            "peak_memory_gb": peak_memory_gb(self.ranks.device),
        }
        self._log_and_evaluate(log, record)
        if self._due(self.config.state_ticks):
            self._save()

    def _log_and_evaluate(self, log: RunLog | None, record: dict[str, float | int | None]) -> None:
        """On the first device: measure, draw, log."""
        if log is None:
            return
        # The average is used with the rays that it has been trained with.
        rays, shown = self.config.schedules.at(self.progress.nimg).neural_resolution, self.networks.generator_ema
        shown.config = replace(shown.config, neural_rendering_resolution=rays)
        record = {"nimg": self.progress.nimg, "kimg": self.progress.nimg / 1000, **record}
        if self._due(self.config.metric_ticks):
            record |= self.meter.figures(self.networks.generator_ema)
        if self._due(self.config.snapshot_ticks):
            if self.progress.step > 0:
                save_snapshot(self.folder, self.networks, self.config, self.progress.nimg, record)
            image = save_grid(self.folder, self.networks, self.config, self.progress.nimg)
            log.image("heads", image, self.progress.nimg)
        log.tick(record)
        write_report(self.folder)

    def _save(self) -> None:
        augment: dict[str, float] = {}
        if self.augment is not None:
            augment = self.augment.state_dict() | self._signs(self.augment)
        if self.ranks.is_first:
            state = {"players": pack(self.networks), "clock": asdict(self.progress), "augment": augment}
            save_state(self.folder, self.progress.nimg, state)

    def _restore(self, loaded: LoadedState) -> None:
        self.warnings += loaded.skipped
        unpack(self.networks, loaded.state["players"])
        self.progress = TrainingProgress(**loaded.state["clock"])
        if self.augment is not None:
            self.augment.load_state_dict(loaded.state["augment"])
