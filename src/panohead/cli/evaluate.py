"""``panohead evaluate``: repeatable metrics of generators."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from panohead.cli.common import check_needed, counting
from panohead.cli.results_folder import open_results, write_settings
from panohead.cli.running.common_options import Common, CommonOptions
from panohead.cli.running.messages import answer
from panohead.errors import PanoHeadError, UsageError
from panohead.evaluation.settings import HEADS, METRICS, SETS, EvaluationSettings, metric_names
from panohead.limits import WORKERS

if TYPE_CHECKING:
    from panohead.evaluation.fakes import FakeSource
    from panohead.evaluation.ground_truth.people import GroundTruthView
    from panohead.head import Head
    from panohead.predictor import Predictor


@dataclass(kw_only=True)
class Evaluate:
    """Measure generators against a dataset; write a JSON and a table with one column each."""

    out: Path
    """Folder for metrics.json and table.md."""
    checkpoint: tuple[str, ...] = ("demo",)
    """One or several: a bundled name, a .safetensors file, or an official .pkl; NAME=FILE to name its column."""
    data: Path | None = None
    """The dataset to compare with: a folder with images/ (and its dataset.json) and masks/, or zips of them."""
    masks: Path | None = None
    """Folder or zip of the masks, if not beside the images; then --data is the images themselves."""
    settings: tyro.conf.OmitArgPrefixes[EvaluationSettings] = field(default_factory=EvaluationSettings)
    device: str = "cpu"
    """Device: cpu, cuda, cuda:1, mps."""
    ray: str | None = None
    """Address of a Ray cluster ("auto", "local") whose machines render the images of sets (fid, kid, swd, ...)."""
    workers: Annotated[int, WORKERS] = 1
    """Processes of the cluster at a time, with --ray."""
    overwrite: bool = False
    """Write into OUT even if it holds results of another command."""
    common: Common = field(default_factory=CommonOptions)

    def run(self) -> None:
        """Measure the checkpoints, print the table and write both files."""
        from rich.console import Console

        from panohead.evaluation.evaluate import Evaluation
        from panohead.evaluation.report import reasons, rich_table, write_report
        from panohead.files.folder_lock import locked_folder

        self._check_needed()
        evaluation = Evaluation(
            self.settings,
            self.data,
            masks=self.masks,
            progress=counting,
            reconstruct=_reconstruct,
            fakes=self._fakes(),
        )
        evaluation.check_named()
        subjects = self._subjects()
        out = open_results(self.out, "evaluate", overwrite=self.overwrite)
        with locked_folder(out, "evaluates"):
            columns = evaluation.run(subjects)
            metrics, table = write_report(out, evaluation.settings, columns, evaluation.about)
        console = Console()
        # Narrow columns break numbers; output that is not a terminal has room.
        (console if console.is_terminal else Console(width=160)).print(rich_table(columns))
        for reason in reasons(columns):
            answer(f"not measured - {reason}")
        write_settings(out, "evaluate", self)
        answer(f"wrote {metrics} and {table}")
        missing = evaluation.named_but_missing(columns)
        if missing:
            raise PanoHeadError(f"asked for and not measured: {', '.join(missing)}; the reasons are above")

    def _check_needed(self) -> None:
        """Refuse settings of metrics that are not asked for."""
        check_needed(self, "--ray", self.ray is not None, "workers")
        if self.ray is not None and self.device != "cpu":
            raise UsageError("--ray renders on the cores of a cluster; leave --device out")
        metrics = set(metric_names(self.settings.metrics))
        if self.ray is not None and not metrics & {*SETS}:
            raise UsageError(f"--ray does nothing without {' or '.join(SETS)} among --metrics")
        head_metrics = {*HEADS, "depth", "equivariance"}
        for needed, names in (
            (SETS, ("num", "reals", "subsets", "protocol", "resolution", "background", "cache")),
            (SETS[1:], ("inception_weights",)),
            (head_metrics, ("heads", "truncation_psi")),
            (("reconstruction",), ("people", "people_seed", "people_edition", "baselines")),
            (("identity",), ("identity_model",)),
        ):
            among = " or ".join(name for name in METRICS if name in needed)
            check_needed(self.settings, f"{among} among --metrics", bool(metrics & {*needed}), *names)

    def _fakes(self) -> "FakeSource":
        from panohead.evaluation.fakes import fake_batches
        from panohead.evaluation.ray_engine import RayFakes

        return fake_batches if self.ray is None else RayFakes(self.ray, self.workers)

    def _subjects(self) -> "dict[str, Predictor]":
        from panohead.predictor import load

        if not self.checkpoint:
            raise UsageError("there is nothing to evaluate; name at least one --checkpoint")
        subjects: dict[str, Predictor] = {}
        for given in self.checkpoint:
            name, path = _named(given)
            while name in subjects:
                name += "'"
            subjects[name] = load(path, self.device)
        return subjects


def _named(given: str) -> tuple[str, str]:
    """Split "NAME=PATH", or a path alone, into the name of the column and the path."""
    name, equals, path = given.partition("=")
    if equals and name and not Path(given).exists():
        return name, path
    return Path(given).stem, given


def _reconstruct(predictor: "Predictor", views: "Sequence[GroundTruthView]") -> "Head":
    """Reconstruct a head from photos; evaluation gets this function passed in, because it does not import inversion."""
    from panohead.inversion import reconstruct

    pixels = [view.photo for view in views]
    masks = [view.mask_pixels for view in views]
    return reconstruct(predictor.generator, pixels, [view.camera for view in views], masks=masks)
