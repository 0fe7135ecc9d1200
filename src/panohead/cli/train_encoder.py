"""``panohead train-encoder``: train a network from a photo to w for any generator."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from panohead.cli.results_folder import open_results, write_settings
from panohead.cli.running.common_options import Common, CommonOptions
from panohead.cli.running.messages import answer
from panohead.cli.running.progress_bar import ProgressBar, progress_bar
from panohead.errors import PanoHeadError, UsageError
from panohead.limits import BATCH, LEARNING_RATE, SEED, STEPS, NumberRange

if TYPE_CHECKING:
    from panohead.training.photo_encoder.config import EncoderTrainConfig
    from panohead.training.photo_encoder.evaluate import EncoderScore
    from panohead.training.photo_encoder.run import EncoderProgress

_SAMPLES = NumberRange(16, 10_000_000)
_STRENGTH = NumberRange(0, 4)


@dataclass(kw_only=True)
class TrainEncoder:
    """Train a photo encoder for a generator: photo to head in milliseconds. Ctrl-C stops; repeat it to continue."""

    checkpoint: str = "demo"
    """A bundled name ("demo"), a .safetensors file, or an official .pkl (read without executing it)."""
    data: tuple[Path, ...] = ()
    """Datasets of panohead synthesize, to learn from true renders too."""
    out: Path | None = None
    """Folder of the run; final.safetensors in it is the checkpoint with its encoder."""
    samples: Annotated[int | None, _SAMPLES] = None
    """Number of the generator's own heads to render first (default 12000)."""
    steps: Annotated[int | None, STEPS] = None
    """Number of training steps (default 6000)."""
    batch: Annotated[int | None, BATCH] = None
    """Photos per step (default 32)."""
    dataset_share: Annotated[float | None, NumberRange(0, 1)] = None
    """Share of the photos that are from --data (default 0.35), the others are the generator's own."""
    learning_rate: Annotated[float | None, LEARNING_RATE] = None
    """Highest learning rate (default 0.001)."""
    init: Path | None = None
    """Checkpoint with an encoder of the same size to start from, of an earlier state of this generator."""
    network: Literal["standard", "small"] = "standard"
    """Size of the encoder: 3.3 or 1.4 million parameters; the small one takes half the time."""
    augmentation: Annotated[float, _STRENGTH] = 1.0
    """Strength of the photographic augmentation; 0 for none."""
    seed: Annotated[int, SEED] = 0
    """Seed of heads, cameras, augmentation and weights."""
    estimate: bool = False
    """Time a few heads and steps, print the duration of the whole run, and stop."""
    overwrite: bool = False
    """Remove the run that OUT holds and start again; or write beside the results of another command."""
    common: Common = field(default_factory=CommonOptions)

    def run(self) -> None:
        """Train, then print where the checkpoint is."""
        from panohead.predictor import open_checkpoint

        config = self.config()
        for path in self.data:
            if not path.is_dir():
                raise PanoHeadError(f"--data {path} is no folder; give a dataset of 'panohead synthesize'")
        if self.out is None and not self.estimate:
            raise UsageError("a run needs --out RUN; or give --estimate")
        checkpoint = open_checkpoint(self.checkpoint)
        start = None if self.init is None else open_checkpoint(str(self.init)).photo_encoder()
        if self.init is not None and start is None:
            raise PanoHeadError(f"{self.init} has no photo encoder; give the final.safetensors of train-encoder")
        if self.estimate:
            from panohead.training.photo_encoder import estimate_encoder

            for line in estimate_encoder(checkpoint, datasets=self.data, config=config).lines():
                answer(line)
            return
        assert self.out is not None
        from panohead.cli.running.progress import stop_on_interrupt
        from panohead.training.photo_encoder import train_encoder
        from panohead.training.photo_encoder.run import EncoderCallbacks

        out = open_results(self.out, "train-encoder", overwrite=self.overwrite)
        with stop_on_interrupt() as asked, _bars() as (advance, report):
            trained = train_encoder(
                checkpoint,
                out,
                datasets=self.data,
                config=config,
                start=start,
                callbacks=EncoderCallbacks(on_progress=advance, on_report=report, should_stop=asked),
                overwrite=self.overwrite,
            )
        write_settings(out, "train-encoder", self)
        if trained.path is None:
            answer(f"stopped; the same command continues in {out}")
            raise KeyboardInterrupt
        answer(f"the checkpoint with its encoder is {trained.path}; its heads beside the truth are in {out / 'sheets'}")

    def config(self) -> "EncoderTrainConfig":
        """Return the settings that the options ask for."""
        from panohead.training.photo_encoder import SMALL_NETWORK, EncoderTrainConfig, PhotoAugmentation

        names = ("samples", "steps", "batch", "dataset_share", "learning_rate")
        given: dict[str, Any] = {name: getattr(self, name) for name in names if getattr(self, name) is not None}
        if self.network == "small":
            given |= SMALL_NETWORK
        augmentation = PhotoAugmentation(strength=self.augmentation)
        return EncoderTrainConfig(augmentation=augmentation, seed=self.seed, **given)


@contextmanager
def _bars() -> Iterator[tuple[Callable[["EncoderProgress"], None], Callable[[int, "EncoderScore"], None]]]:
    """Show progress with the time left on standard error; yield functions for progress and for figures."""
    with ExitStack() as shown:
        bars: dict[str, ProgressBar] = {}

        def advance(step: "EncoderProgress") -> None:
            if step.phase not in bars:
                shown.close()  # one phase after the other
                # What an earlier run has done does not count for the speed.
                bar = progress_bar(step.phase, step.total, done=step.done, completes=False)
                bars[step.phase] = shown.enter_context(bar)
            losses = ", ".join(f"{name} {value:.3f}" for name, value in step.losses.items())
            bars[step.phase].update(step.done, detail=losses)

        def report(step: int, score: "EncoderScore") -> None:
            line = (
                f"step {step}, held-out people: error of w {score.w_error:.0%} of the mean head's, yaw off by "
                f"{score.yaw_error_deg:.1f} degrees ({score.yaw_error_before_deg:.1f} before)"
            )
            next(reversed(bars.values())).note(line)

        yield advance, report
