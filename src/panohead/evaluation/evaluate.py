"""Evaluation of checkpoints against a dataset: the work of ``panohead evaluate``."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import torch

from panohead.checkpoint import weights_sha256
from panohead.errors import PanoHeadError, UsageError
from panohead.evaluation.cost import cost
from panohead.evaluation.distributions.fake_sets import fake_sets, raw_gap
from panohead.evaluation.distributions.image_set import ImageSet
from panohead.evaluation.distributions.metrics import SetSettings, compare_sets, real_data_baseline, real_sets
from panohead.evaluation.equivariance import equivariance_results
from panohead.evaluation.fakes import FakeSource, fake_batches
from panohead.evaluation.ground_truth.depth_baseline import depth_baseline
from panohead.evaluation.ground_truth.people import GroundTruthPerson, held_out_people
from panohead.evaluation.ground_truth.reconstruction import (
    ReconstructFunction,
    morphable_baseline,
    radiance_baseline,
    reconstruction,
    reconstruction_baseline,
)
from panohead.evaluation.head_views import HeadViews
from panohead.evaluation.photos import ReferencePhotos
from panohead.evaluation.protocol import comparisons
from panohead.evaluation.real_data_baseline import tools_on_photos
from panohead.evaluation.results import ProgressCallback, Result, Skipped, silent
from panohead.evaluation.settings import METRICS, SETS, EvaluationSettings, named_metrics
from panohead.evaluation.toolbox import Toolbox
from panohead.perceptual.inception import Inception
from panohead.predictor import Predictor

BASELINE_NAME = "photos"
"""Name of the column that compares photos with other photos (the real-data baseline)."""
PHOTOS_PER_HEAD = 8
"""Photos per evaluated head on which the third-party models are measured."""
METHODS = {"nerf": radiance_baseline, "3dmm": morphable_baseline}
METHOD_NAMES = {"nerf": "NeRF", "3dmm": "3DMM"}
"""Columns of methods without a generator."""
MIN_PHOTO_SIDE = 128
"""Minimum side, in pixels, of the photos that people are reconstructed from."""


@dataclass(frozen=True)
class EvaluationResult:
    """All measurements of one checkpoint (or of the photos themselves)."""

    name: str
    about: dict[str, Any] = field(default_factory=dict)
    results: list[Result] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)

    def take(self, found: Sequence[Result | Skipped]) -> None:
        """Add results and skipped metrics to their lists."""
        self.results.extend(one for one in found if isinstance(one, Result))
        self.skipped.extend(one for one in found if isinstance(one, Skipped))


class Evaluation:
    """One evaluation of some generators against one dataset; third-party models and photo statistics are shared."""

    def __init__(
        self,
        settings: EvaluationSettings,
        data: Path | None = None,
        *,
        masks: Path | None = None,
        progress: ProgressCallback = silent,
        reconstruct: ReconstructFunction | None = None,
        fakes: FakeSource = fake_batches,
    ) -> None:
        """Prepare an evaluation.

        Args:
            data: dataset folder; only sets of images and depth need it.
            masks: folder or zip of the masks, if they are not beside the images; ``data`` is then the images.
            reconstruct: function from photos to a head, for the metric reconstruction; it is passed in because the
                inversion package is not imported here.
            fakes: where the generated images of sets are rendered.

        Raises:
            UsageError: for settings out of range, or masks without data.
        """
        if masks is not None and data is None:
            raise UsageError("the masks are those of a dataset; name its images with --data")
        self.settings, self.data, self.masks, self.progress = settings.resolved(), data, masks, progress
        self.named = named_metrics(settings.metrics)
        self._reconstruct, self._fakes = reconstruct, fakes
        self._people: list[GroundTruthPerson] | PanoHeadError | None = None
        self._photo_sets: dict[tuple[bool, int], tuple[ImageSet, ImageSet]] = {}
        self._tools = Toolbox(self.settings)
        self._device = torch.device("cpu")
        self.about: dict[str, Any] = {}

    def run(self, subjects: dict[str, Predictor]) -> list[EvaluationResult]:
        """Measure all generators, one column each; the column of the photos (the real-data baseline) comes last.

        Raises:
            PanoHeadError: without the dataset that a metric needs, or for a resolution that a generator does not reach.
        """
        columns = []
        self._device = next((predictor.device for predictor in subjects.values()), torch.device("cpu"))
        resolution = self._resolution(list(subjects.values())) if self._compares_sets else 0
        # First, so that its peak memory is not that of the other metrics; the table shows it last.
        costs = {name: cost(p.generator) if "cost" in self.settings.metrics else [] for name, p in subjects.items()}
        for name, predictor in subjects.items():
            column = EvaluationResult(name, _about(predictor))
            if self._compares_sets:
                column.take(self._sets(predictor, resolution))
            column.take(list(self._heads(predictor)))
            if "reconstruction" in self.settings.metrics:
                column.take(self._reconstruction(predictor, list(subjects.values())))
            if "equivariance" in self.settings.metrics:
                column.take(_try("equivariance", partial(self._equivariance, predictor)))
            column.take(costs[name])
            columns.append(column)
        columns += self._methods(list(subjects.values()))
        columns.append(self._baseline(list(subjects.values()), resolution))
        return [column for column in columns if column.results or column.skipped]

    def check_named(self) -> None:
        """Check, before any work, that the metrics asked for by name can be measured here.

        Raises:
            PanoHeadError: when a dataset, weights or a package is missing for one of them.
        """
        named = self.named
        if self._compares_sets or "depth" in named:
            _ = self.photos
        reasons = []
        if set(SETS[1:]) & named and isinstance(opened := self._tools.inception(torch.device("cpu")), PanoHeadError):
            reasons.append(str(opened))
        if {"identity", "camera"} & named:
            skipped = self._tools.head_metrics()[1]
            reasons += [one.reason for one in skipped if one.metric in named]
        if reasons:
            raise PanoHeadError(reasons[0])

    def named_but_missing(self, columns: Sequence[EvaluationResult]) -> list[str]:
        """Return the metrics that were asked for by name and not measured in some column."""
        skipped = {one.metric for column in columns for one in column.skipped}
        return [name for name in METRICS if name in self.named and name in skipped]

    @cached_property
    def photos(self) -> ReferencePhotos:
        """The dataset's photos with their backgrounds; refused when a sample shows wrong labels, masks or crops."""
        if self.data is None:
            raise UsageError("sets of images and depth are compared with a dataset; name one with --data")
        photos = ReferencePhotos(self.data, masks=self.masks)
        photos.refuse_wrong_sample()
        return photos

    @property
    def _compares_sets(self) -> bool:
        return bool(self.settings.set_metrics)

    def _resolution(self, predictors: list[Predictor]) -> int:
        sizes = [p.generator.config.superresolution.output_resolution for p in predictors]
        requested = self.settings.resolution
        if requested is None:
            return min([self.photos.dataset.resolution, *sizes])
        if sizes and requested > min(sizes):
            raise UsageError(
                f"a generator makes images of {min(sizes)} pixels, fewer than the {requested} to compare at; give "
                f"--resolution {min(sizes)}"
            )
        return requested

    def _white(self, predictor: Predictor) -> bool:
        if self.settings.background != "auto":
            return self.settings.background == "white"
        return predictor.generator.background is None

    def _sets(self, predictor: Predictor, resolution: int) -> list[Result | Skipped]:
        settings, skipped = self._set_settings(resolution)
        found: list[Result | Skipped] = list(skipped)
        if not settings.metrics:
            return found
        reals, _ = self._reals(self._white(predictor), settings)
        made = fake_sets(predictor.generator, self.photos.labels, settings)
        found += compare_sets(reals, lambda row: made.by_route[row.subset.route], settings)
        return found + list(raw_gap(made, settings))

    def _baseline(self, predictors: list[Predictor], resolution: int) -> EvaluationResult:
        column = EvaluationResult(BASELINE_NAME, self._about_photos() if self.data is not None else {})
        if self._compares_sets and self.settings.floor:
            settings, _ = self._set_settings(resolution)
            if settings.metrics:
                reals, others = self._reals(bool(predictors) and self._white(predictors[0]), settings)
                column.take(real_data_baseline(reals, others, settings))
        if self.data is not None and self.settings.floor:
            column.take(self._tools_on_photos(predictors))
        if isinstance(self._people, list) and self.settings.floor:
            column.take(reconstruction_baseline(self._people))
        if "depth" in self.settings.metrics:
            column.take(_try("depth", lambda: depth_baseline(self.photos.folder, self.settings.heads)))
        return column

    def _tools_on_photos(self, predictors: list[Predictor]) -> list[Result]:
        tools = self._tools.for_photos()
        if not tools:
            return []
        return tools_on_photos(
            self.photos,
            count=PHOTOS_PER_HEAD * self.settings.heads,
            seed=self.settings.seed,
            resolution=self._resolution(predictors),
            segmenter=tools.get("segmenter"),
            detector=tools.get("face detector"),
            estimator=tools.get("aligner"),
            embedder=tools.get("embedder"),
        )

    def _reals(self, white: bool, settings: SetSettings) -> tuple[ImageSet, ImageSet]:
        key = white, settings.resolution
        if key not in self._photo_sets:
            photos = replace(self.photos, white=white)
            self._photo_sets[key] = real_sets(photos, settings)
        return self._photo_sets[key]

    def _set_settings(self, resolution: int) -> tuple[SetSettings, list[Skipped]]:
        own = self.settings
        metrics, skipped, inception = own.set_metrics, [], None
        if set(metrics) - {"swd"}:
            opened = self._tools.inception(self._device)
            if isinstance(opened, PanoHeadError):
                skipped = [Skipped(name, str(opened)) for name in metrics if name != "swd"]
                metrics = tuple(name for name in metrics if name == "swd")
            else:
                inception = opened
        rows = tuple(comparisons(own.subsets, own.protocol))
        settings = SetSettings(
            metrics=metrics,
            rows=rows,
            num=own.num,
            reals=own.reals,
            seed=own.seed,
            batch=own.batch,
            resolution=resolution,
            inception=inception,
            inception_sha256=self._inception_sha256(inception),
            cache=own.cache,
            progress=self.progress,
            fakes=self._fakes,
        )
        self.about["resolution"] = resolution
        return settings, skipped

    def _inception_sha256(self, inception: Inception | None) -> str:
        if inception is None:
            return ""
        if "inception_sha256" not in self.about:
            self.about["inception_sha256"] = weights_sha256(inception)
        return str(self.about["inception_sha256"])

    def _reconstruction(self, predictor: Predictor, predictors: list[Predictor]) -> list[Result | Skipped]:
        reconstruct = self._reconstruct
        if reconstruct is None:
            return [Skipped("reconstruction", "give Evaluation a function that reconstructs heads from photos")]
        people = self._known_people(predictors)
        if isinstance(people, PanoHeadError):
            return [Skipped("reconstruction", str(people))]
        return _try("reconstruction", lambda: reconstruction(predictor, people, reconstruct, progress=self.progress))

    def _methods(self, predictors: list[Predictor]) -> list[EvaluationResult]:
        """Return a column for every method without a generator."""
        if "reconstruction" not in self.settings.metrics:
            return []
        columns = []
        for name in dict.fromkeys(self.settings.baselines):
            column, people = EvaluationResult(METHOD_NAMES[name]), self._known_people(predictors)
            if isinstance(people, PanoHeadError):
                column.take([Skipped("reconstruction", str(people))])
            else:
                column.take(_try("reconstruction", partial(METHODS[name], people, self.progress)))
            columns.append(column)
        return columns

    def _equivariance(self, predictor: Predictor) -> list[Result]:
        own = self.settings
        heads = [predictor.sample(own.seed + index, truncation_psi=own.truncation_psi) for index in range(own.heads)]
        return equivariance_results(predictor.generator, torch.cat([head.ws for head in heads]), seed=own.seed)

    def _known_people(self, predictors: list[Predictor]) -> list[GroundTruthPerson] | PanoHeadError:
        if self._people is None:
            try:
                self._people = self._held_out(predictors)
            except PanoHeadError as error:
                self._people = error
        return self._people

    def _held_out(self, predictors: list[Predictor]) -> list[GroundTruthPerson]:
        own = self.settings
        side = max([MIN_PHOTO_SIDE, *(p.generator.config.superresolution.output_resolution for p in predictors)])
        people = []
        data = None if self.data is None else ReferencePhotos(self.data, masks=self.masks).folder
        with self.progress("building people", own.people) as step:
            for person in held_out_people(
                own.people,
                own.people_seed,
                side,
                edition=own.people_edition,
                other_than=data,
                around="nerf" in own.baselines,
            ):
                people.append(person)
                step()
        return people

    def _heads(self, predictor: Predictor) -> Iterator[Result | Skipped]:
        metrics, skipped = self._tools.head_metrics()
        yield from skipped
        if not metrics:
            return
        own = self.settings
        with self.progress("measuring heads", own.heads) as step:
            for index in range(own.heads):
                head = predictor.sample(own.seed + index, truncation_psi=own.truncation_psi)
                views = HeadViews(head, index)
                for metric in metrics:
                    metric.add(views)
                step()
        for metric in metrics:
            yield from metric.results()

    def _about_photos(self) -> dict[str, Any]:
        photos = self.photos
        return {"data": str(photos.root), "sha256": photos.sha256, "photos": len(photos)}


def _about(predictor: Predictor) -> dict[str, Any]:
    checkpoint = predictor.checkpoint
    if checkpoint is None:
        return {}
    digest = checkpoint.sha256 or weights_sha256(predictor.generator)
    return {"sha256": digest, "kimg": checkpoint.kimg, "device": str(predictor.device)}


def _try(metric: str, work: Callable[[], list[Result]]) -> list[Result | Skipped]:
    try:
        return list(work())
    except PanoHeadError as error:
        return [Skipped(metric, str(error))]


def software() -> dict[str, str]:
    """Return the versions of packages that numbers may depend on."""
    import numpy
    import scipy

    import panohead

    return {
        "panohead": panohead.__version__,
        "torch": torch.__version__,
        "numpy": numpy.__version__,
        "scipy": scipy.__version__,
    }
