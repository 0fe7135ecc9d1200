"""``panohead evaluate``: how good generators are, in numbers that can be repeated."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from panohead.cli.common import Debug, counting, output_folder, say
from panohead.errors import UsageError

if TYPE_CHECKING:
    from panohead.evaluation.settings import EvaluationSettings
    from panohead.predictor import Predictor


@dataclass(kw_only=True)
class Evaluate:
    """Metrics of one or several generators against a dataset: a JSON and a table, side by side."""

    out: Path
    """Folder for metrics.json and table.md."""
    checkpoint: tuple[str, ...] = ("demo",)
    """One or several: a bundled name, a .safetensors file, or an official .pkl."""
    data: Path | None = None
    """The dataset to compare with: a folder with images/ (and its dataset.json) and masks/, or zips of them."""
    metrics: tuple[str, ...] = ("weight-free",)
    """Of swd, fid, kid, is, pr, identity, mask, camera, consistency, back, depth, cost; or weight-free, or all."""
    subsets: tuple[Literal["all", "front", "back", "random", "bins"], ...] = ("all", "front", "back", "random", "bins")
    """Views to compare separately; bins are 30 degrees of |yaw|."""
    protocol: tuple[Literal["official", "strict"], ...] = ("official", "strict")
    """official restricts only the photos to the views, as the original; strict restricts both sides."""
    num: int = 2000
    """Generated pictures (the paper: 50000)."""
    reals: int | None = None
    """Photos: as many as --num if not given, 0 for all (the paper)."""
    heads: int = 16
    """Heads to look at from several sides."""
    seed: int = 0
    """Of latents, cameras, photos and projections."""
    truncation_psi: float = 0.7
    """Of the heads looked at from several sides; sets of pictures are always made at 1."""
    batch: int = 8
    """Pictures at once; changes nothing but speed and memory."""
    resolution: int | None = None
    """Pixels to compare at: the smallest of photos and generators if not given."""
    background: Literal["auto", "white", "keep"] = "auto"
    """Behind the people on photos; auto: white for generators without a background."""
    floor: bool = True
    """Also compare photos with other photos."""
    inception_weights: Path | None = None
    """torch-fidelity's file of Inception weights, for fid, kid, is and pr."""
    identity_model: Path | None = None
    """An ArcFace .onnx file; dlib if not given."""
    cache: Path | None = None
    """Keep what was computed of the photos here for the next time."""
    device: str = "cpu"
    """cpu, cuda, cuda:1, mps."""
    debug: Debug = False

    def run(self) -> None:
        """Measure and write."""
        from rich.console import Console

        from panohead.evaluation.evaluate import Evaluation
        from panohead.evaluation.report import reasons, rich_table, write_report

        settings = self._settings()
        subjects = self._subjects()
        out = output_folder(self.out)
        evaluation = Evaluation(settings, self.data, progress=counting)
        columns = evaluation.run(subjects)
        metrics, table = write_report(out, settings, columns, evaluation.about)
        console = Console()
        # Narrow columns break numbers; where nobody looks there is room.
        (console if console.is_terminal else Console(width=160)).print(rich_table(columns))
        for reason in reasons(columns):
            say(f"not measured - {reason}")
        say(f"wrote {metrics} and {table}")

    def _settings(self) -> "EvaluationSettings":
        from panohead.errors import PanoHeadError
        from panohead.evaluation.settings import EvaluationSettings, metric_names

        try:
            return EvaluationSettings(
                metrics=metric_names([name for entry in self.metrics for name in entry.split(",") if name]),
                subsets=self.subsets,
                protocols=self.protocol,
                num=self.num,
                reals=self.reals,
                heads=self.heads,
                seed=self.seed,
                batch=self.batch,
                truncation_psi=self.truncation_psi,
                resolution=self.resolution,
                background=self.background,
                floor=self.floor,
                inception_weights=self.inception_weights,
                identity_model=self.identity_model,
                cache=self.cache,
            )
        except PanoHeadError as error:
            raise UsageError(str(error)) from error

    def _subjects(self) -> "dict[str, Predictor]":
        from panohead.predictor import load

        if not self.checkpoint:
            raise UsageError("there is nothing to evaluate; name at least one --checkpoint")
        subjects: dict[str, Predictor] = {}
        for path in self.checkpoint:
            name = Path(path).stem
            while name in subjects:
                name += "'"
            subjects[name] = load(path, self.device)
        return subjects
