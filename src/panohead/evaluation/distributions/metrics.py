"""Metrics that compare sets of images, for every subset of views and both protocols."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from panohead.errors import PanoHeadError
from panohead.evaluation.distributions.distances import (
    frechet_distance,
    inception_score,
    kernel_distance,
    precision_recall,
)
from panohead.evaluation.distributions.image_set import Collector, ImageSet, load_set, patches_per_image, save_set
from panohead.evaluation.distributions.sliced_wasserstein import sliced_wasserstein
from panohead.evaluation.fakes import FakeSource, fake_batches
from panohead.evaluation.photos import ReferencePhotos
from panohead.evaluation.protocol import Comparison, yaw_of
from panohead.evaluation.results import ProgressCallback, Result, Skipped, silent
from panohead.perceptual.inception import Inception


@dataclass(frozen=True, kw_only=True)
class SetSettings:
    """Settings shared by all metrics of sets.

    Attributes:
        num: generated images per route.
        reals: photos; None for as many as ``num``, 0 for all.
        resolution: pixels per side to compare at.
        cache: folder for computed statistics of photos; None for none.
        inception_sha256: identity of the Inception weights in the cache.
        fakes: where the generated images are rendered.
    """

    metrics: tuple[str, ...]
    rows: tuple[Comparison, ...]
    num: int
    seed: int
    batch: int
    resolution: int
    reals: int | None = None
    inception: Inception | None = None
    inception_sha256: str = ""
    cache: Path | None = None
    progress: ProgressCallback = silent
    fakes: FakeSource = fake_batches

    @property
    def patches(self) -> int:
        """Patches per image and level for the weight-free distance; 0 without it."""
        return patches_per_image(self.num) if "swd" in self.metrics else 0

    def collector(self) -> Collector:
        """Return an empty accumulator for a new set of images."""
        return Collector(seed=self.seed, patches=self.patches, inception=self.inception)


def real_sets(photos: ReferencePhotos, settings: SetSettings) -> tuple[ImageSet, ImageSet]:
    """Return the reference photos, and as many other photos: the baseline of a perfect generator.

    The two never share a photo; with too few photos each gets half of them.
    """
    order = photos.order(settings.seed)
    wanted = {None: settings.num, 0: len(order)}.get(settings.reals, settings.reals) or settings.num
    held_out = min(settings.num, len(order) // 2)
    first = min(wanted, len(order) - held_out)
    return (
        _photo_set(photos, order[:first], settings, "photos"),
        _photo_set(photos, order[first : first + held_out], settings, "other photos"),
    )


def _photo_set(photos: ReferencePhotos, indices: np.ndarray, settings: SetSettings, what: str) -> ImageSet:
    file = None
    if settings.cache is not None:
        file = settings.cache / f"photos-{_key(photos, indices, settings)}.npz"
        if (kept := load_set(file)) is not None:
            return kept
    collector, steps = settings.collector(), -(-len(indices) // settings.batch)
    with settings.progress(f"reading {what}", steps) as step:
        for images in photos.batches(indices, settings.resolution, settings.batch):
            collector.add(images)
            step()
    collected = collector.result(yaw_of(photos.labels[indices]))
    if file is not None:
        save_set(file, collected)
    return collected


def _key(photos: ReferencePhotos, indices: np.ndarray, settings: SetSettings) -> str:
    about = (
        photos.sha256,
        photos.white,
        settings.resolution,
        settings.patches,
        settings.seed,
        settings.inception_sha256,
    )
    return hashlib.sha256(repr(about).encode() + indices.astype(np.int64).tobytes()).hexdigest()[:24]


def compare_sets(
    reals: ImageSet, fakes: Callable[[Comparison], ImageSet], settings: SetSettings
) -> Iterator[Result | Skipped]:
    """Yield every metric of every row. ``fakes`` returns the generated images of a row."""
    for row in settings.rows:
        real = reals.where(row.subset.contains(reals.yaw_deg))
        made = fakes(row)
        made = made.where(row.fakes(made.yaw_deg))
        for metric in settings.metrics:
            try:
                yield from _measure(metric, row, real, made, settings)
            except PanoHeadError as error:
                yield Skipped(metric, f"{metric} {row.subset.name} ({row.protocol}): {error}")


def real_data_baseline(reals: ImageSet, others: ImageSet, settings: SetSettings) -> list[Result | Skipped]:
    """Compare photos with other photos (see :func:`real_sets`).

    The other photos stand in for every route, and both protocols then coincide.
    """
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


def _measure(metric: str, row: Comparison, real: ImageSet, fake: ImageSet, settings: SetSettings) -> Iterator[Result]:
    common: dict[str, Any] = {"subset": row.subset.name, "protocol": row.protocol}
    if metric == "swd":
        yield _sliced(row, real, fake, settings)
        return
    assert real.features is not None
    assert fake.features is not None
    assert fake.probabilities is not None
    common["counts"] = {"real": len(real), "fake": len(fake)}
    if metric == "fid":
        yield Result(metric="FID", value=frechet_distance(real.features, fake.features), **common)
    elif metric == "kid":
        value = kernel_distance(real.features, fake.features, seed=settings.seed)
        yield Result(metric="KID", value=value, unit="", details={"subsets": 100, "subset_size": 1000}, **common)
    elif metric == "is":
        mean, spread = inception_score(fake.probabilities)
        yield Result(metric="IS", value=mean, better="higher", details={"std": spread, "splits": 10}, **common)
    else:
        precision, recall = precision_recall(real.features, fake.features)
        yield Result(metric="precision", value=precision, better="higher", **common)
        yield Result(metric="recall", value=recall, better="higher", **common)


def _sliced(row: Comparison, real: ImageSet, fake: ImageSet, settings: SetSettings) -> Result:
    """Return the weight-free distance at equal counts on both sides, because it depends on the number of images."""
    count = min(len(real), len(fake))
    first, second = (images.where(np.ones(len(images), dtype=bool), count).patches for images in (real, fake))
    assert first is not None
    assert second is not None
    found = sliced_wasserstein(first, second, seed=settings.seed)
    return Result(
        metric="SWD",
        subset=row.subset.name,
        protocol=row.protocol,
        value=found.value,
        low=found.low,
        high=found.high,
        unit="std",
        counts={"real": count, "fake": count},
        details={
            "per_level": {str(side): value for side, value in found.per_level.items()},
            "patches_per_picture": settings.patches,
        },
    )
