"""A training run as a folder: begun, continued and finished by the same call, stopped at any moment.

::

    RUN/encoder.json        settings, checkpoint and datasets; a run continues with the same ones only
    RUN/samples/*.npz       rendered samples
    RUN/state.pt            everything the next step depends on; written atomically
    RUN/metrics.jsonl       a line per report: losses, figures of held-out samples
    RUN/sheets/*.webp       held-out samples: photo, the encoder's head, truth
    RUN/final.safetensors   the checkpoint with the encoder in it
"""

import json
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from panohead.checkpoint import SUFFIX, Checkpoint, save_checkpoint, weights_sha256
from panohead.errors import PanoHeadError
from panohead.files.archive import check_torch_file
from panohead.files.earlier_results import remove_earlier_results
from panohead.files.folder_lock import locked_folder
from panohead.files.read_json import parse_json, read_json
from panohead.files.regular import open_to_append
from panohead.media.provenance import image_metadata
from panohead.models.photo_encoder import PhotoEncoder
from panohead.system.atomic_write import atomic_path, write_bytes
from panohead.training.photo_encoder.augmentation import PhotoAugmentation
from panohead.training.photo_encoder.config import EncoderTrainConfig
from panohead.training.photo_encoder.evaluate import EncoderScore, sample_sheet, score
from panohead.training.photo_encoder.fit import EncoderFit, calibrated, parameters_of
from panohead.training.photo_encoder.generated import GeneratedSamples
from panohead.training.photo_encoder.rendered import RenderedSamples
from panohead.training.photo_encoder.samples import SampleSource, StoredSample, read_samples, render_samples

RUN_FILE, STATE_FILE, METRICS_FILE, FINAL_FILE = "encoder.json", "state.pt", "metrics.jsonl", f"final{SUFFIX}"
_REPORTS, _MIN_STEPS = 12, 100  # reports in a run, and steps between two
_SAVE_S = 120.0
_SCORED, _SCORED_IMAGES = 256, 8
_CLEAN = PhotoAugmentation(strength=0.0)


@dataclass(frozen=True)
class EncoderProgress:
    """Progress of a run.

    Attributes:
        phase: "rendering" or "training".
        done, total: samples or steps.
        losses: losses of the step.
    """

    phase: str
    done: int
    total: int
    losses: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class EncoderCallbacks:
    """Functions that a run calls; None for those that are not wanted.

    Attributes:
        on_progress: receives every finished sample and step.
        on_report: receives the figures of held-out samples now and then, with the number of the step.
        should_stop: is asked before every sample and step; once it returns True, the run is saved and ends.
    """

    on_progress: Callable[[EncoderProgress], None] | None = None
    on_report: Callable[[int, EncoderScore], None] | None = None
    should_stop: Callable[[], bool] | None = None

    def stop(self) -> bool:
        """Return True if the run should end now."""
        return self.should_stop is not None and self.should_stop()

    def progress(self, phase: str, done: int, total: int, losses: Mapping[str, float] | None = None) -> None:
        """Report progress."""
        if self.on_progress is not None:
            self.on_progress(EncoderProgress(phase, done, total, losses or {}))


@dataclass(frozen=True)
class TrainedEncoder:
    """Result of a run.

    Attributes:
        path: the checkpoint with its encoder; None for a run that was stopped.
        score: figures of held-out samples under augmentation; None for a run that was stopped or was finished before.
    """

    path: Path | None
    score: EncoderScore | None = None


def train_encoder(
    checkpoint: Checkpoint,
    out: Path,
    *,
    datasets: Sequence[Path] = (),
    config: EncoderTrainConfig | None = None,
    callbacks: EncoderCallbacks | None = None,
    start: PhotoEncoder | None = None,
    overwrite: bool = False,
) -> TrainedEncoder:
    """Train a photo encoder for a checkpoint's generator, or continue what an interrupted run left in the folder.

    Args:
        checkpoint: any generator; its attribute encoder, where it has one, is used too.
        out: folder of the run.
        datasets: folders of ``panohead synthesize``.
        config: settings; None for the defaults.
        callbacks: functions that follow and stop the run.
        start: encoder to start from: of an earlier state of this generator, whose w is nearly the same; None for a new
            one.
        overwrite: remove an earlier run in the folder and start again.

    Raises:
        PanoHeadError: when the folder holds another run or cannot be written to, or a dataset cannot be read.
        FolderInUse: when another process trains there.
    """
    config = EncoderTrainConfig() if config is None else config
    callbacks = EncoderCallbacks() if callbacks is None else callbacks
    with locked_folder(out, "trains an encoder"):
        if overwrite:
            names = [RUN_FILE, STATE_FILE, METRICS_FILE, FINAL_FILE, "samples", "sheets"]
            remove_earlier_results(out, names, list(datasets))
        return _Run(checkpoint, out, datasets, config, callbacks, start).train()


class _Run:
    """One run folder, locked."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        out: Path,
        datasets: Sequence[Path],
        config: EncoderTrainConfig,
        callbacks: EncoderCallbacks,
        start: PhotoEncoder | None = None,
    ) -> None:
        self.start = start
        self.checkpoint, self.out, self.config, self.callbacks = checkpoint, out, config, callbacks
        self.generator = checkpoint.generator().eval().requires_grad_(False)
        self.attributes = checkpoint.attribute_encoder()
        generated = GeneratedSamples(self.generator, self.attributes, config)
        w_dim = self.generator.config.w_dim
        rendered = [
            RenderedSamples(path, number, self.attributes, config, w_dim=w_dim) for number, path in enumerate(datasets)
        ]
        self.sources: list[SampleSource] = [generated, *rendered]
        self._training: list[StoredSample] = []
        self._continue_or_begin(datasets)

    def _continue_or_begin(self, datasets: Sequence[Path]) -> None:
        """Write what the run is, or check that the folder holds the same run."""
        networks = [self.generator, *([] if self.attributes is None else [self.attributes])]
        wanted: dict[str, Any] = {
            "checkpoint": [weights_sha256(network) for network in networks],
            "datasets": [str(path.resolve()) for path in datasets],
            "config": asdict(self.config),
        }
        if self.start is not None:
            wanted["start"] = weights_sha256(self.start)
        path = self.out / RUN_FILE
        wanted = parse_json(json.dumps(wanted), dict[str, Any], str(path))  # tuples become lists
        if not path.is_file():
            wanted["samples"] = [source.count for source in self.sources]
            write_bytes(path, (json.dumps(wanted, indent=1) + "\n").encode())
            return
        stored = read_json(path, dict[str, Any])
        changed = [name for name in ("checkpoint", "datasets", "start") if stored.get(name) != wanted.get(name)]
        before = stored.get("config", {})
        changed += [name for name, value in wanted["config"].items() if before.get(name) != value]
        if changed:
            raise PanoHeadError(
                f"{self.out} holds a run with another {changed[0]}; give the same options to continue it, --overwrite "
                "to start again, or another --out"
            )
        for source, count in zip(self.sources, stored.get("samples", []), strict=True):
            if source.count < count:
                raise PanoHeadError(f"{source.name} of {self.out} has lost people; give the dataset as it was")
            source.count = count  # a dataset that has grown since

    def train(self) -> TrainedEncoder:
        final = self.out / FINAL_FILE
        if final.is_file():
            return TrainedEncoder(final)
        if not self._render():
            return TrainedEncoder(None)
        parts = [read_samples(source, self.out / "samples") for source in self.sources]
        training = [[s for s in part if not s.is_held_out] for part in parts]
        held_out = [[s for s in part if s.is_held_out] for part in parts]
        rendered = [sample for part in training[1:] for sample in part]
        fit = EncoderFit(self.generator, self.attributes, self.config, training[0], rendered, self.start)
        self._training = [*training[0], *rendered]
        self._resume(fit)
        unseen = _spread(held_out, _SCORED)
        result = self._fit(fit, unseen)
        if result is None:
            return TrainedEncoder(None)
        self._save_final(fit, result)
        (self.out / STATE_FILE).unlink(missing_ok=True)
        return TrainedEncoder(final, result)

    def _render(self) -> bool:
        """Render all missing samples; return False when the run was stopped."""
        total, before = sum(source.count for source in self.sources), 0
        for source in self.sources:
            done = 0
            for done in render_samples(source, self.out / "samples", self.callbacks.stop):
                self.callbacks.progress("rendering", before + done, total)
            if done < source.count:
                return False
            before += source.count
        return True

    def _resume(self, fit: EncoderFit) -> None:
        path = self.out / STATE_FILE
        if not path.is_file():
            return
        try:
            check_torch_file(path)
            fit.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
        except Exception as error:  # a damaged file makes torch's reader raise nearly anything
            raise PanoHeadError(f"cannot continue from {path}; remove it to train again from the samples") from error

    def _fit(self, fit: EncoderFit, unseen: Sequence[StoredSample]) -> EncoderScore | None:
        """Take all steps that are left and return the figures at the end; None when the run was stopped."""
        steps, saved = self.config.steps, time.monotonic()
        every = max(_MIN_STEPS, steps // _REPORTS)
        losses: dict[str, list[float]] = defaultdict(list)
        while fit.step_count < steps:
            if self.callbacks.stop():
                self._save(fit)
                return None
            found = fit.step()
            if not all(np.isfinite(value) for value in found.values()):
                raise PanoHeadError(
                    f"the training diverged at step {fit.step_count}; start again with a smaller learning rate"
                )
            for name, value in found.items():
                losses[name].append(value)
            self.callbacks.progress("training", fit.step_count, steps, found)
            if fit.step_count % every == 0 and fit.step_count < steps:
                self._report(fit, unseen, losses)
                losses.clear()
            if time.monotonic() - saved > _SAVE_S:
                self._save(fit)
                saved = time.monotonic()
        return self._report(fit, unseen, losses)

    def _save(self, fit: EncoderFit) -> None:
        with atomic_path(self.out / STATE_FILE) as temporary:
            torch.save(fit.state_dict(), temporary)

    def _score(self, encoder: PhotoEncoder, unseen: Sequence[StoredSample], *, clean: bool = False) -> EncoderScore:
        augmentation = _CLEAN if clean else self.config.augmentation
        images = min(_SCORED_IMAGES, len(unseen))
        return score(encoder, self.generator, unseen, augmentation, seed=self.config.seed, images=images)

    def _report(
        self, fit: EncoderFit, unseen: Sequence[StoredSample], losses: Mapping[str, list[float]]
    ) -> EncoderScore:
        """Write a line and a sheet, and return the figures under augmentation."""
        encoder = calibrated(fit.average, self._training)
        found, clean = self._score(encoder, unseen), self._score(encoder, unseen, clean=True)
        row = {
            "step": fit.step_count,
            "held_out": found.to_json(),
            "held_out_clean": clean.to_json(),
            "losses": {name: round(float(np.mean(values)), 5) for name, values in losses.items()},
        }
        with open_to_append(self.out / METRICS_FILE) as file:
            file.write((json.dumps(row) + "\n").encode())
        sheet = sample_sheet(encoder, self.generator, unseen, self.config.augmentation, seed=self.config.seed)
        path = self.out / "sheets" / f"step-{fit.step_count:07d}.webp"
        with atomic_path(path) as temporary:
            sheet.save(temporary, quality=88, **image_metadata(".webp", "trainedAlgorithmicMedia"))
        if self.callbacks.on_report is not None:
            self.callbacks.on_report(fit.step_count, found)
        return found

    def _save_final(self, fit: EncoderFit, result: EncoderScore) -> None:
        networks = dict(self.checkpoint.networks) | {"encoder": calibrated(fit.average, self._training)}
        about = {"steps": fit.step_count, "samples": [source.count for source in self.sources], **result.to_json()}
        notes = dict(self.checkpoint.notes) | {"encoder": about}
        others = [value for network in self.checkpoint.networks.values() for value in network.state_dict().values()]
        dtype = "float16" if _is_half(others) else "float32"
        save_checkpoint(self.out / FINAL_FILE, networks, kimg=self.checkpoint.kimg, notes=notes, dtype=dtype)  # type: ignore[arg-type]


def _spread(parts: Sequence[Sequence[StoredSample]], count: int) -> list[StoredSample]:
    """Return up to ``count`` samples, evenly from all parts and evenly spread over each."""
    chosen: list[StoredSample] = []
    for part in parts:
        share = min(len(part), count // len(parts))
        chosen += [part[i] for i in np.linspace(0, len(part) - 1, share).astype(int)] if share else []
    return chosen


def _is_half(tensors: Sequence[Tensor]) -> bool:
    """Return True where no weight would lose anything in half precision: the file came in it, and stays as small."""
    floats = [x for x in tensors if x.is_floating_point()]
    return all(torch.equal(x, x.half().to(x.dtype)) for x in floats)


@dataclass(frozen=True)
class EncoderEstimate:
    """Measurements on this machine.

    Attributes:
        config: settings that were measured.
        parameters: number of the encoder's parameters.
        seconds_per_sample, seconds_per_step: durations.
        rendered: number of the datasets' samples.
    """

    config: EncoderTrainConfig
    parameters: int
    seconds_per_sample: float
    seconds_per_step: float
    rendered: int

    def lines(self) -> list[str]:
        """Return the estimate as lines of text."""
        rendering = self.config.samples * self.seconds_per_sample / 60
        training = self.config.steps * self.seconds_per_step / 60
        return [
            f"encoder {self.parameters / 1e6:.2f} M parameters, {self.config.resolution} pixels",
            f"{self.config.samples} heads at {self.seconds_per_sample * 1000:.0f} ms and {self.rendered} renders: "
            f"about {rendering:.0f} minutes",
            f"{self.config.steps} steps of {self.config.batch} photos at {self.seconds_per_step:.2f} s: about "
            f"{training:.0f} minutes",
        ]


def estimate_encoder(
    checkpoint: Checkpoint, *, datasets: Sequence[Path] = (), config: EncoderTrainConfig | None = None
) -> EncoderEstimate:
    """Time two samples and two steps, each after one to warm up, and write nothing.

    Raises:
        PanoHeadError: when a dataset cannot be read.
    """
    import tempfile

    config = EncoderTrainConfig() if config is None else config
    generator, attributes = checkpoint.generator().eval().requires_grad_(False), checkpoint.attribute_encoder()
    w_dim = generator.config.w_dim
    rendered = sum(
        RenderedSamples(path, number, attributes, config, w_dim=w_dim).count for number, path in enumerate(datasets)
    )
    source = GeneratedSamples(generator, attributes, config)
    source.count = 3
    with tempfile.TemporaryDirectory() as folder:
        moments = [time.perf_counter() for _ in render_samples(source, Path(folder), lambda: False)]
        fit = EncoderFit(generator, attributes, config, read_samples(source, Path(folder)), [])
    seconds = []
    for number in (0, 0, 1):  # the first warms up; every ``image_interval`` steps one is slow
        fit.step_count = number
        began = time.perf_counter()
        fit.step()
        seconds.append(time.perf_counter() - began)
    share = 1 / config.image_interval
    per_step = share * seconds[1] + (1 - share) * seconds[2]
    per_sample = (moments[-1] - moments[1]) / max(len(moments) - 2, 1)
    return EncoderEstimate(config, parameters_of(fit.encoder), per_sample, per_step, rendered)
