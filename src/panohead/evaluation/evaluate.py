"""From checkpoints and a dataset to numbers: what ``panohead evaluate`` runs."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import nn

from panohead.errors import PanoHeadError
from panohead.evaluation.back_of_head import BackOfHead, DensityChecks
from panohead.evaluation.camera_error import CameraError
from panohead.evaluation.consistency import Consistency
from panohead.evaluation.cost import cost
from panohead.evaluation.depth_floor import depth_floor
from panohead.evaluation.distribution_metrics import SetSettings, compare_sets, fake_sets, real_sets
from panohead.evaluation.head_views import HeadMetric, HeadViews
from panohead.evaluation.identity import Identity
from panohead.evaluation.mask_metrics import Leakage, MaskError
from panohead.evaluation.optional_tools import AlignerPose, MediapipeFaceDetector, PersonSegmenter
from panohead.evaluation.photo_floor import tools_on_photos
from panohead.evaluation.photos import Photos
from panohead.evaluation.picture_set import PictureSet
from panohead.evaluation.protocol import comparisons
from panohead.evaluation.results import Progress, Result, Skipped, silent
from panohead.evaluation.settings import HEADS, EvaluationSettings
from panohead.perceptual.face_identity import DlibEmbedder, OnnxEmbedder
from panohead.perceptual.inception import Inception, load_inception
from panohead.predictor import Predictor

FLOOR = "photos"
"""Name of the column that compares photos with other photos."""
PHOTOS_PER_HEAD = 8
"""Photos that the borrowed tools are tried on, for every head that they look at."""


@dataclass(frozen=True)
class Evaluated:
    """Everything measured of one checkpoint (or of the photos themselves)."""

    name: str
    about: dict[str, Any] = field(default_factory=dict)
    results: list[Result] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)

    def take(self, found: Sequence[Result | Skipped]) -> None:
        """Sort what was found."""
        self.results.extend(one for one in found if isinstance(one, Result))
        self.skipped.extend(one for one in found if isinstance(one, Skipped))


class Evaluation:
    """One evaluation of some generators against one dataset. Tools and photo statistics are shared by all."""

    def __init__(self, settings: EvaluationSettings, data: Path | None = None, *, progress: Progress = silent) -> None:
        self.settings, self.data, self.progress = settings, data, progress
        self._photo_sets: dict[tuple[bool, int], tuple[PictureSet, PictureSet]] = {}
        self._tools: dict[str, Any] = {}
        self._device = torch.device("cpu")
        self.about: dict[str, Any] = {}

    def run(self, subjects: dict[str, Predictor]) -> list[Evaluated]:
        """Measure all, one column each; the photos' own column (the floor) comes last."""
        columns = []
        self._device = next((predictor.device for predictor in subjects.values()), torch.device("cpu"))
        resolution = self._resolution(list(subjects.values())) if self._compares_sets else 0
        for name, predictor in subjects.items():
            column = Evaluated(name, _about(predictor))
            # First, so that its peak memory is not that of the other metrics; the table shows it last.
            costs = cost(predictor.generator) if "cost" in self.settings.metrics else []
            if self._compares_sets:
                column.take(self._sets(predictor, resolution))
            column.take(list(self._heads(predictor)))
            column.take(costs)
            columns.append(column)
        columns.append(self._floor(list(subjects.values()), resolution))
        return [column for column in columns if column.results or column.skipped]

    @cached_property
    def photos(self) -> Photos:
        """The dataset with its backgrounds."""
        if self.data is None:
            raise PanoHeadError("sets of pictures and depth are compared with a dataset; name one with --data")
        return Photos(self.data)

    @property
    def _compares_sets(self) -> bool:
        return bool(self.settings.set_metrics)

    def _resolution(self, predictors: list[Predictor]) -> int:
        if self.settings.resolution is not None:
            return self.settings.resolution
        sizes = [p.generator.config.superresolution.output_resolution for p in predictors]
        return min([self.photos.dataset.resolution, *sizes])

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
        return found + list(compare_sets(reals, lambda row: made[row.subset.route], settings))

    def _floor(self, predictors: list[Predictor], resolution: int) -> Evaluated:
        column = Evaluated(FLOOR, self._about_photos() if self.data is not None else {})
        if self._compares_sets and self.settings.floor:
            settings, _ = self._set_settings(resolution)
            if settings.metrics:
                reals, others = self._reals(bool(predictors) and self._white(predictors[0]), settings)
                column.take(_photos_floor(reals, others, settings))
        if self.data is not None and self.settings.floor:
            column.take(self._tools_on_photos(predictors))
        if "depth" in self.settings.metrics:
            column.take(_try("depth", lambda: depth_floor(self.photos.root, self.settings.heads)))
        return column

    def _tools_on_photos(self, predictors: list[Predictor]) -> list[Result]:
        opened = {name: tool for name, tool in self._tools.items() if not isinstance(tool, PanoHeadError)}
        tools = {"segmenter": "mask", "face detector": "back", "aligner": "camera"}
        used = {name: opened.get(name) for name, metric in tools.items() if metric in self.settings.metrics}
        if not any(tool is not None for tool in used.values()):
            return []
        return tools_on_photos(
            Photos(self.photos.root),
            count=PHOTOS_PER_HEAD * self.settings.heads,
            seed=self.settings.seed,
            resolution=self._resolution(predictors),
            segmenter=used.get("segmenter"),
            detector=used.get("face detector"),
            estimator=used.get("aligner"),
        )

    def _reals(self, white: bool, settings: SetSettings) -> tuple[PictureSet, PictureSet]:
        key = white, settings.resolution
        if key not in self._photo_sets:
            photos = Photos(self.photos.root, white)
            self._photo_sets[key] = real_sets(photos, settings)
        return self._photo_sets[key]

    def _set_settings(self, resolution: int) -> tuple[SetSettings, list[Skipped]]:
        own = self.settings
        metrics, skipped, inception = own.set_metrics, [], None
        if set(metrics) - {"swd"}:
            inception = self._tool("inception", lambda: load_inception(own.inception_weights, self._device))
            if isinstance(inception, PanoHeadError):
                skipped = [Skipped(name, str(inception)) for name in metrics if name != "swd"]
                metrics, inception = tuple(name for name in metrics if name == "swd"), None
        rows = tuple(comparisons(own.subsets, own.protocols))
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
        )
        self.about["resolution"] = resolution
        return settings, skipped

    def _inception_sha256(self, inception: Inception | None) -> str:
        if inception is None:
            return ""
        if "inception_sha256" not in self.about:
            self.about["inception_sha256"] = _weights_sha256(inception)
        return str(self.about["inception_sha256"])

    def _heads(self, predictor: Predictor) -> Iterator[Result | Skipped]:
        metrics, skipped = self._head_metrics()
        yield from skipped
        if not metrics:
            return
        own = self.settings
        with self.progress("looking at heads", own.heads) as step:
            for index in range(own.heads):
                head = predictor.sample(own.seed + index, truncation_psi=own.truncation_psi)
                views = HeadViews(head, index)
                for metric in metrics:
                    metric.add(views)
                step()
        for metric in metrics:
            yield from metric.results()

    def _head_metrics(self) -> tuple[list[HeadMetric], list[Skipped]]:
        """Metrics that can be measured here, and why others cannot."""
        wanted = [name for name in HEADS if name in self.settings.metrics]
        metrics: list[HeadMetric] = []
        skipped: list[Skipped] = []

        def with_tool(name: str, tool: str, make: Callable[[], Any], metric: Callable[[Any], HeadMetric]) -> None:
            found = self._tool(tool, make)
            if isinstance(found, PanoHeadError):
                skipped.append(Skipped(name, str(found)))
            else:
                metrics.append(metric(found))

        if "consistency" in wanted:
            metrics.append(Consistency())
        if "mask" in wanted:
            metrics.append(Leakage())
            with_tool("mask error", "segmenter", PersonSegmenter, MaskError)
        if "back" in wanted:
            detector = self._tool("face detector", MediapipeFaceDetector)
            if isinstance(detector, PanoHeadError):
                skipped.append(Skipped("face detection rate", str(detector)))
            metrics += [BackOfHead(None if isinstance(detector, PanoHeadError) else detector), DensityChecks()]
        if "identity" in wanted:
            with_tool("identity", "embedder", self._embedder, Identity)
        if "camera" in wanted:
            with_tool("camera", "aligner", AlignerPose, CameraError)
        return metrics, skipped

    def _embedder(self) -> DlibEmbedder | OnnxEmbedder:
        if self.settings.identity_model is None:
            return DlibEmbedder()
        detector = self._tool("face detector", MediapipeFaceDetector)
        return OnnxEmbedder(self.settings.identity_model, None if isinstance(detector, PanoHeadError) else detector)

    def _tool(self, name: str, make: Callable[[], Any]) -> Any:
        """An optional tool, opened once, or the error that says why there is none."""
        if name not in self._tools:
            try:
                self._tools[name] = make()
            except PanoHeadError as error:
                self._tools[name] = error
        return self._tools[name]

    def _about_photos(self) -> dict[str, Any]:
        photos = self.photos
        return {"data": str(photos.root), "sha256": photos.sha256, "photos": len(photos)}


def _about(predictor: Predictor) -> dict[str, Any]:
    checkpoint = predictor.checkpoint
    if checkpoint is None:
        return {}
    digest = checkpoint.sha256 or _weights_sha256(predictor.generator)
    return {"sha256": digest, "kimg": checkpoint.kimg, "device": str(predictor.device)}


def _weights_sha256(network: nn.Module) -> str:
    digest = hashlib.sha256()
    for name, value in network.state_dict().items():
        digest.update(name.encode())
        digest.update(value.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _photos_floor(reals: PictureSet, others: PictureSet, settings: SetSettings) -> list[Result | Skipped]:
    """Photos against other photos. They stand in for every way of making pictures, and both protocols are then one."""
    once = {row.subset: row for row in settings.rows}
    found = list(
        compare_sets(
            reals,
            lambda row: others.where(row.subset.contains(others.yaw_deg)),
            replace(settings, rows=tuple(once.values())),
        )
    )
    measured = [one for one in found if isinstance(one, Result)]
    skipped = [one for one in found if isinstance(one, Skipped)]
    again = [
        replace(one, protocol=row.protocol)
        for row in settings.rows
        for one in measured
        if one.subset == row.subset.name and row is not once[row.subset]
    ]
    return [*measured, *again, *skipped]


def _try(metric: str, work: Callable[[], list[Result]]) -> list[Result | Skipped]:
    try:
        return list(work())
    except PanoHeadError as error:
        return [Skipped(metric, str(error))]


def software() -> dict[str, str]:
    """Versions that numbers may depend on."""
    import numpy
    import scipy

    import panohead

    return {
        "panohead": panohead.__version__,
        "torch": torch.__version__,
        "numpy": numpy.__version__,
        "scipy": scipy.__version__,
    }
