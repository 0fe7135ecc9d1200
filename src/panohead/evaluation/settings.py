"""Settings of one evaluation: everything that decides its numbers. Imports nothing heavy, because ``panohead evaluate``
turns them into options."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

from panohead.errors import UsageError
from panohead.limits import COUNT, SEED, STEPS, TRUNCATION_PSI, NumberRange

SETS = ("swd", "fid", "kid", "is", "pr")
"""Metrics that compare sets of images; all but the first need Inception."""
HEADS = ("identity", "mask", "camera", "consistency", "sticking", "back")
"""Metrics that measure single heads from several sides."""
OTHERS = ("reconstruction", "depth", "equivariance", "cost")
METRICS = (*SETS, *HEADS, *OTHERS)
GROUPS = {"all": METRICS, "weight-free": ("swd", "mask", "consistency", "sticking", "back", "depth", "cost")}
"""Names for several metrics. Weight-free ones need no network but the generator; parts that need one are skipped."""
MIN_SIDE = 16
"""Minimum side, in pixels, of compared images."""

Protocol = Literal["official", "strict"]
BaselineMethod = Literal["nerf", "3dmm"]


@dataclass(frozen=True, kw_only=True)
class EvaluationSettings:
    """The options of one evaluation."""

    metrics: tuple[str, ...] = ("weight-free",)
    """swd, fid, kid, is, pr, identity, mask, camera, consistency, sticking, back, reconstruction, depth, equivariance,
    cost; or weight-free, or all."""
    subsets: tuple[Literal["all", "front", "back", "random", "bins"], ...] = ("all", "front", "back", "random", "bins")
    """Views to compare separately; bins are 30 degrees of |yaw|."""
    protocol: tuple[Protocol, ...] = ("official", "strict")
    """official restricts only the photos to the views, as the original; strict restricts both sides."""
    num: Annotated[int, NumberRange(2, 1_000_000)] = 2000
    """Generated images for each way of making them (the paper: 50000)."""
    reals: Annotated[int | None, COUNT] = None
    """Photos: as many as --num if not given, 0 for all (the paper)."""
    heads: Annotated[int, STEPS] = 16
    """Heads to measure (from several sides, or their tri-grids)."""
    people: Annotated[int, STEPS] = 4
    """Synthetic people to reconstruct, each from every number of photos (metric reconstruction)."""
    people_seed: Annotated[int, SEED] = 77
    """Seed of those people; another one than that of the people that the generators were trained on."""
    people_edition: Literal[1, 2] = 2
    """Edition of the synthetic dataset, which frames those people; evaluations before the second edition used 1."""
    baselines: tuple[BaselineMethod, ...] = ()
    """Methods without a generator, a column each (metric reconstruction): nerf, a radiance field fitted to 24 photos of
    each person from all around; 3dmm, the head basis fitted to the reconstructions' photos by landmarks (mediapipe)."""
    seed: Annotated[int, SEED] = 0
    """Seed of latents, cameras, photos and projections."""
    truncation_psi: Annotated[float, TRUNCATION_PSI] = 0.7
    """Truncation of the heads measured from several sides (the paper's mask error: 0.7); sets of images use 1."""
    batch: Annotated[int, NumberRange(1, 10_000)] = 8
    """Images at once; changes nothing but speed and memory."""
    resolution: Annotated[int | None, NumberRange(MIN_SIDE, 4096, "pixels")] = None
    """Pixels to compare at: the smallest of photos and generators if not given."""
    background: Literal["auto", "white", "keep"] = "auto"
    """Background of the people on photos; auto: white for generators without a background."""
    floor: bool = True
    """Also compare photos with other photos (the real-data baseline)."""
    inception_weights: Path | None = None
    """torch-fidelity's file of Inception weights, for fid, kid, is and pr."""
    identity_model: Path | None = None
    """An ArcFace .onnx file; dlib if not given."""
    cache: Path | None = None
    """Folder to keep the computed statistics of the photos in, for the next evaluation."""

    def resolved(self) -> "EvaluationSettings":
        """Return the same settings with every group of metrics spelled out.

        Raises:
            UsageError: for values out of range.
        """
        if min(self.num, self.heads + 1, self.batch + 1, self.people + 1) < 2 or min(self.reals or 0, self.seed) < 0:
            raise UsageError(
                "an evaluation needs at least 2 images, 1 head, 1 person, batches of 1 and a seed from 0; raise the "
                "numbers"
            )
        if self.resolution is not None and self.resolution < MIN_SIDE:
            raise UsageError(f"images are compared at {MIN_SIDE} pixels or more; raise --resolution")
        return replace(self, metrics=metric_names(self.metrics))

    @property
    def set_metrics(self) -> tuple[str, ...]:
        """Metrics that compare sets of images."""
        return tuple(name for name in SETS if name in self.metrics)


def metric_names(requested: Sequence[str]) -> tuple[str, ...]:
    """Return metrics in their usual order for names of metrics and groups, which may be joined by commas.

    Raises:
        UsageError: for a name that is neither.
    """
    named = [name for entry in requested for part in entry.split(",") if part for name in GROUPS.get(part, (part,))]
    if unknown := [name for name in named if name not in METRICS]:
        raise UsageError(f"there is no metric {unknown[0]!r}; choose from {', '.join((*METRICS, *GROUPS))}")
    return tuple(name for name in METRICS if name in named)


def named_metrics(requested: Sequence[str]) -> frozenset[str]:
    """Return the metrics that were asked for one by one, not as members of a group."""
    return frozenset(part for entry in requested for part in entry.split(",") if part in METRICS)
