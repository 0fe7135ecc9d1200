"""A fit as a run folder: started or resumed by one call, stopped at any moment, with sheets and figures on the way.

::

    RUN/state.pt           everything the next step depends on; written atomically
    RUN/compact.safetensors  averaged weights in float16: small enough to commit, and enough to resume from
    RUN/metrics.jsonl      a line every few minutes: losses, PSNR on training and held-out people, speed
    RUN/sheets/*.webp      ground truth above model
"""

import json
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from panohead.errors import PanoHeadError
from panohead.files.archive import check_torch_file
from panohead.files.folder_lock import locked_folder
from panohead.files.regular import open_to_append
from panohead.system.atomic_write import atomic_path
from panohead.training.attribute_fit.compact import load_compact, save_compact
from panohead.training.attribute_fit.dataset import GrowingDataset
from panohead.training.attribute_fit.evaluate import FitComparison, compare
from panohead.training.attribute_fit.fit import AttributeFit
from panohead.training.attribute_fit.shots import Shots


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """Schedule of a run, in seconds of wall time.

    Attributes:
        save_s, report_s, sheet_s, refresh_s: time between states, lines of figures, sheets, and readings of the
            dataset.
        steps: number of steps; None for no end.
        decay_steps: number of last steps over which the learning rates fall to a twentieth.
        rate: factor of all learning rates. With few heads a step, noise soon outweighs progress: after 14,000 steps
            at 1, 200 at 0.1 took a fifth from every loss.
    """

    save_s: float = 300.0
    report_s: float = 300.0
    sheet_s: float = 1800.0
    refresh_s: float = 900.0
    steps: int | None = None
    decay_steps: int = 2000
    rate: float = 1.0


class FitRun:
    """One run folder.

    Args:
        folder: folder of all output.
        fit: a fresh fit; a stored state replaces its contents.
        training, held_out: the datasets; the second is never trained on.
        say: function called with each line of the log.
    """

    def __init__(
        self,
        folder: Path,
        fit: AttributeFit,
        training: GrowingDataset,
        held_out: GrowingDataset,
        options: RunOptions,
        say: Callable[[str], None] = print,
    ) -> None:
        self.folder, self.fit, self.options, self.say = folder, fit, options, say
        self.training, self.held_out = training, held_out
        (folder / "sheets").mkdir(parents=True, exist_ok=True)
        self.stop_requested = False
        self._losses: dict[str, list[float]] = defaultdict(list)

    def resume(self) -> bool:
        """Load the stored state, or else the compact one; False when there is neither.

        Raises:
            PanoHeadError: when the state is of networks of other sizes.
        """
        state, compact = self.folder / "state.pt", self.folder / "compact.safetensors"
        if state.is_file():
            check_torch_file(state)
            try:
                self.fit.load_state_dict(torch.load(state, weights_only=True, map_location=self.fit.device))
            except (RuntimeError, KeyError, ValueError) as error:
                raise PanoHeadError(
                    f"{state} is of networks of other sizes; move it away to continue from {compact.name}"
                ) from error
            return True
        if compact.is_file():
            load_compact(self.fit, compact)
            return True
        return False

    def start_from(self, compact: Path) -> None:
        """Start from a compact state of another run."""
        load_compact(self.fit, compact)

    def train(self) -> None:
        """Step until the options' end or until ``stop_requested`` is set; the state is saved at the end.

        Raises:
            FolderInUse: when another process fits there.
        """
        with locked_folder(self.folder, "fits"):
            self._train()

    def _train(self) -> None:
        data = self.training.refresh().to(self.fit.device)
        unseen = self.held_out.refresh().to(self.fit.device)
        self.fit.start_deformation(data)
        self.say(f"step {self.fit.step_count}: {data.people} people, {data.count} shots")
        now = time.monotonic()
        due = {name: now + getattr(self.options, f"{name}_s") for name in ("save", "report", "sheet", "refresh")}
        started = (self.fit.step_count, time.process_time(), now)
        while not self.stop_requested and not self._finished():
            self._set_rates()
            for name, value in self.fit.step(data).items():
                self._losses[name].append(value)
            now = time.monotonic()
            if now > due["refresh"]:
                data = self.training.refresh().to(self.fit.device)
            if now > due["report"]:
                self._report(data, unseen, started)
                started = (self.fit.step_count, time.process_time(), time.monotonic())
            if now > due["sheet"]:
                self._write_sheet(data, unseen)
            if now > due["save"]:
                self.save()
            for name, moment in due.items():
                if now > moment:
                    due[name] = time.monotonic() + getattr(self.options, f"{name}_s")
        self.save()
        self._write_sheet(data, unseen)

    def _finished(self) -> bool:
        return self.options.steps is not None and self.fit.step_count >= self.options.steps

    def _set_rates(self) -> None:
        self.fit.rate_factor = self.options.rate
        if self.options.steps is not None:
            left = (self.options.steps - self.fit.step_count) / self.options.decay_steps
            self.fit.rate_factor *= min(1.0, max(0.05, left))

    def save(self) -> None:
        """Write the exact state and the compact one."""
        with atomic_path(self.folder / "state.pt") as temporary:
            torch.save(self.fit.state_dict(), temporary)
        save_compact(self.fit, self.folder / "compact.safetensors")

    def _report(self, data: Shots, unseen: Shots, started: tuple[int, float, float]) -> None:
        steps = self.fit.step_count - started[0]
        row: dict[str, Any] = {
            "step": self.fit.step_count,
            "people": data.people,
            "cpu_s_per_step": round((time.process_time() - started[1]) / max(steps, 1), 3),
            "s_per_step": round((time.monotonic() - started[2]) / max(steps, 1), 3),
            **{f"loss/{name}": round(sum(v) / len(v), 5) for name, v in self._losses.items()},
        }
        for name, source, known in (("seen", data, True), ("held_out", unseen, False)):
            row[f"psnr/{name}"] = round(float(self._compare(source, known).psnr.mean()), 3)
        self._losses.clear()
        with open_to_append(self.folder / "metrics.jsonl") as file:
            file.write((json.dumps(row) + "\n").encode())
        self.say(json.dumps(row))

    def _compare(self, data: Shots, known: bool, count: int = 8) -> FitComparison:
        # Evenly spread over the dataset: the same shots while it does not grow.
        shots = torch.linspace(0, data.count - 1, count).long()
        return compare(self.fit.average, data, shots, with_residual=known)

    def _write_sheet(self, data: Shots, unseen: Shots) -> None:
        sheets = [self._compare(data, True, 4).sheet(), self._compare(unseen, False, 4).sheet()]
        path = self.folder / "sheets" / f"step-{self.fit.step_count:07d}.webp"
        Image.fromarray(torch.cat(sheets).numpy()).save(path, quality=85)
