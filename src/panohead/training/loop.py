"""The training loop of a run: steps, statistics, evaluation, resumable states; the same on one device and on many.

A tick is ``tick_kimg`` thousand images; statistics, snapshots, evaluations and states are written at ticks.
"""

import statistics
import time
from collections import deque
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import asdict, replace
from pathlib import Path

from torch import Tensor

from panohead.data.loader import PhotoLoader
from panohead.errors import PanoHeadError
from panohead.files.read_json import from_plain
from panohead.system.peak_memory import peak_memory_gb
from panohead.training.augmentation.probability import AdaptiveProbability
from panohead.training.config import TrainConfig
from panohead.training.distributed.interruption import stop_on_signals
from panohead.training.distributed.ranks import Ranks, average, broadcast_module
from panohead.training.losses import RealBatch
from panohead.training.nan_guard import first_nonfinite
from panohead.training.networks import TrainingNetworks, pack, unpack
from panohead.training.run.checkpoint import LoadedState, save_state
from panohead.training.run.log import RunLog
from panohead.training.run.progress import TrainingProgress
from panohead.training.run.report import write_report
from panohead.training.run.running_means import RunningMeans
from panohead.training.run.snapshots import DistanceMeter, save_grid, save_snapshot
from panohead.training.step import StepState, TrainingStep

SHOW_EVERY_S = 0.5
"""Minimum seconds between two updates of the progress line."""


class Training:
    """A run in progress on one device; :meth:`run` trains to its end.

    Args:
        config: the configuration of the run.
        loader: this device's share of the photos, in the order of the run.
        folder: the run's folder, see :mod:`panohead.training.run.folder`.
        ranks: this process among those of the run.
        networks: the networks at the start; their weights become equal on all devices.
        loaded: the state to resume from.
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
        self._step_rates: deque[float] = deque(maxlen=50)  # images per second of the last steps
        self._progress_shown_at = 0.0
        if loaded is not None:
            self._load_state(loaded)
        for network in (networks.generator, networks.discriminator, networks.generator_ema):
            broadcast_module(network, ranks)
        self.meter = DistanceMeter(config, loader)

    def run(self) -> bool:
        """Train to the end.

        Returns:
            False when the run was asked to stop before its end; its state is saved then.

        Raises:
            PanoHeadError: when a loss is not finite, another rank is lost, or a file cannot be written.
        """
        total, nimg = self.config.total_kimg, self.progress.nimg
        # A run that was killed before its first state writes its first record once more.
        kept_nimg = nimg if self.progress.step > 0 else nimg - 1
        # Only the first device writes.
        log_or_not = (
            RunLog(self.folder, total_kimg=total, resume_nimg=kept_nimg, quiet=self.quiet)
            if self.ranks.is_first
            else nullcontext()
        )
        with stop_on_signals() as request, log_or_not as log:
            for warning in self.warnings:
                if log is not None:
                    log.note(warning)
            # The untrained (or warm-started) generator is the first point of every curve.
            if self.progress.step == 0:
                self._log_and_evaluate(log, {})
            for photos in self._real_batches():
                if self.finished:
                    break
                ticks = self._ticks_passed()
                self._train_step(photos)
                self._show_progress(log)
                if self._ticks_passed() != ticks or self.finished:
                    self._check_average()
                    self._log_and_evaluate(log, self._statistics())
                    if self._due(self.config.state_ticks):
                        self._save_state()
                if request.agreed(self.ranks) and not self.finished:
                    self._check_average()
                    self._save_state()
                    break
        return self.finished

    @property
    def finished(self) -> bool:
        """True when all images of the run have been shown, or its processor time is used up."""
        limit = self.config.total_cpu_s
        used_up = limit is not None and self.progress.cpu_seconds >= limit
        return used_up or self.progress.nimg >= round(self.config.total_kimg * 1000)

    @property
    def images_per_second(self) -> float:
        """Median speed of the last 50 steps, over all devices; 0 before the first step."""
        return statistics.median(self._step_rates) if self._step_rates else 0.0

    def _real_batches(self) -> Iterator[RealBatch]:
        for batch in self.loader:
            yield RealBatch.from_uint8(batch.image, batch.mask, batch.label)

    def _train_step(self, photos: RealBatch) -> None:
        """Update both networks, their moving average and the augmentation probability with one batch of photos."""
        # The check of the losses at the end of the step waits for the device, so this times the whole step.
        began, cpu_began = time.monotonic(), time.process_time()
        probability = self.augment.probability if self.augment is not None else 0.0
        state = StepState(self.progress.nimg, self.progress.step, probability)
        step = TrainingStep(self.config, self.networks, self.loader, self.ranks, self.running_means, state, photos)
        step.run()
        self.progress.nimg += self.config.batch
        self.progress.step += 1
        if self.augment is not None:
            self._update_augmentation(self.augment, step.real_logits)
        elapsed = time.monotonic() - began
        self.progress.seconds += elapsed
        cpu = time.process_time() - cpu_began
        # With a limit all devices must count alike, so that they end at the same step.
        self.progress.cpu_seconds += cpu if self.config.total_cpu_s is None else average({"s": cpu}, self.ranks)["s"]
        self._step_rates.append(self.config.batch / elapsed)

    def _update_augmentation(self, augment: AdaptiveProbability, real_logits: list[Tensor]) -> None:
        """Adapt the augmentation probability to the discriminator's logits for photos (StyleGAN2-ADA 3)."""
        for logits in real_logits:
            augment.observe(logits)
        if self.progress.step % augment.config.interval == 0:
            augment.update(self.config.batch, **self._averaged_signs(augment))

    def _averaged_signs(self, augment: AdaptiveProbability) -> dict[str, float]:
        """Return what all devices have observed, as means over them: the rule needs their ratio only."""
        return average(dict(zip(("sign_sum", "count"), augment.sums(), strict=True)), self.ranks)

    def _ticks_passed(self) -> int:
        """Return the number of whole ticks since the start of the run."""
        return int((self.progress.nimg - self.config.start_kimg * 1000) // (self.config.tick_kimg * 1000))

    def _due(self, ticks: int) -> bool:
        """Return True at every ``ticks``-th tick (none for 0) and at the end of the run."""
        return self.finished or (ticks > 0 and self._ticks_passed() % ticks == 0)

    def _show_progress(self, log: RunLog | None) -> None:
        # Reading the losses waits for the device, hence not at every step.
        if log is not None and time.monotonic() - self._progress_shown_at > SHOW_EVERY_S:
            log.progress(self.progress.nimg / 1000, self.running_means.means(), self.images_per_second)
            self._progress_shown_at = time.monotonic()

    def _statistics(self) -> dict[str, float | int | None]:
        """Return the record of a tick: progress, means of losses over all devices, scheduled values, memory."""
        scheduled = self.config.schedules.at(self.progress.nimg)
        means = average(self.running_means.take(), self.ranks)
        return {
            **asdict(self.progress),
            "kimg": self.progress.nimg / 1000,
            "images_per_second": self.images_per_second,
            **means,
            **asdict(scheduled),
            "augment_probability": self.augment.probability if self.augment is not None else None,
            "peak_memory_gb": peak_memory_gb(self.ranks.device),
        }

    def _log_and_evaluate(self, log: RunLog | None, record: dict[str, float | int | None]) -> None:
        """Write the record, with a distance to the photos and a snapshot where due; on the first device only."""
        if log is None:
            return
        # The moving average is used with as many rays as it was trained with (PanoHead's second stage changes them).
        rays, generator_ema = (
            self.config.schedules.at(self.progress.nimg).neural_resolution,
            self.networks.generator_ema,
        )
        if self.config.patches is None:  # whose rays are not those of an image
            generator_ema.config = replace(generator_ema.config, neural_rendering_resolution=rays)
        record = {"nimg": self.progress.nimg, "kimg": self.progress.nimg / 1000, **record}
        if self._due(self.config.metric_ticks):
            record |= self.meter.figures(generator_ema)
        if self._due(self.config.snapshot_ticks):
            if self.progress.step > 0:
                save_snapshot(self.folder, self.networks, self.config, self.progress.nimg, record)
            image = save_grid(self.folder, self.networks, self.config, self.progress.nimg)
            log.image("heads", image, self.progress.nimg)
        log.tick(record)
        write_report(self.folder)

    def _check_average(self) -> None:
        """Raise PanoHeadError before anything is written when the moving average is not finite any more.

        Losses do not show it: no loss is computed with the average.
        """
        ruined = first_nonfinite(self.networks.generator_ema)
        if ruined is not None:
            raise PanoHeadError(
                f"the moving average of the generator is not finite any more ({ruined}); nothing more was written: "
                f"resume {self.folder} from its last state, or start a new run with other ema_ settings"
            )

    def _save_state(self) -> None:
        augment: dict[str, float] = {}
        if self.augment is not None:
            augment = self.augment.state_dict() | self._averaged_signs(self.augment)
        if self.ranks.is_first:
            # The keys are a file format and keep their first names.
            state = {"players": pack(self.networks), "clock": asdict(self.progress), "augment": augment}
            save_state(self.folder, self.progress.nimg, state)

    def _load_state(self, loaded: LoadedState) -> None:
        self.warnings += loaded.skipped
        try:
            unpack(self.networks, loaded.state["players"])
            self.progress = from_plain(TrainingProgress, loaded.state["clock"])
            if self.augment is not None:
                self.augment.load_state_dict(from_plain(dict[str, float], loaded.state["augment"]))
        except (PanoHeadError, KeyError, TypeError, ValueError) as error:
            raise PanoHeadError(f"{loaded.file} cannot be resumed from: {error}; start a new run") from error
        if self.progress.nimg != loaded.nimg:
            raise PanoHeadError(f"{loaded.file} cannot be resumed from: its counts differ; start a new run")
        for network in (self.networks.generator, self.networks.discriminator, self.networks.generator_ema):
            ruined = first_nonfinite(network)
            if ruined is not None:
                raise PanoHeadError(f"{loaded.file} holds weights that are not finite ({ruined}); take an earlier one")
