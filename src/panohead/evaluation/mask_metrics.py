"""Mask metrics: against a segmentation of the image, under another background, and haze around the head."""

import math
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from scipy import ndimage
from torch import Tensor

from panohead.evaluation.head_views import HeadViews
from panohead.evaluation.intervals import mean_interval
from panohead.evaluation.results import Better, Result
from panohead.geometry.camera import Camera

YAWS = (0.0, 60.0, 120.0, 180.0, 240.0, 300.0)
GRAY = (110, 110, 110)
RIM = 0.05
"""Minimum distance of haze pixels from the opaque part, as a fraction of the image side."""


@runtime_checkable
class Segmenter(Protocol):
    """Network that separates a person from the background."""

    def mask(self, image: Float[Tensor, "3 height width"]) -> Float[Tensor, "1 height width"]:
        """Return the person's probability per pixel for an image ([-1, 1])."""


@dataclass
class Leakage:
    """Density outside the head, measured in the mask alone."""

    _shares: list[float] = field(default_factory=list)

    def add(self, views: HeadViews) -> None:
        """Measure six views of one head."""
        self._shares += [leakage(views.at(yaw).mask) for yaw in YAWS]

    def results(self) -> list[Result]:
        """Return the mean opacity away from the head, 0 to 1."""
        low, high = mean_interval(self._shares, [place // len(YAWS) for place in range(len(self._shares))])
        counts = {"views": len(self._shares)}
        return [Result(metric="leakage", value=_mean(self._shares), low=low, high=high, counts=counts)]


@dataclass
class MaskError:
    """Mask against segmentation and, for generators with a background, segmentation under two backgrounds."""

    segmenter: Segmenter
    _errors: list[tuple[float, float, float]] = field(default_factory=list)
    _swaps: list[float] = field(default_factory=list)
    _previous: HeadViews | None = None
    _heads: list[int] = field(default_factory=list)

    def add(self, views: HeadViews) -> None:
        """Measure six views of one head; the background is that of the previous head."""
        own_background = views.head.background is not None
        for yaw in YAWS:
            frame = views.at(yaw)
            # Segmenters miss heads on white; the gray background is composited with the generator's own mask.
            shown = frame.image if own_background else frame.on(GRAY).image
            found = self.measure(shown, frame.alpha(), head=views.index)
            if self._previous is not None and own_background:
                other = views.head.render(Camera.orbit(yaw), background=self._previous.head)
                swapped = self.segmenter.mask(other.image)
                self._swaps.append(float((found - swapped).square().mean()))
        if self._previous is not None:
            self._previous.head.forget()
        self._previous = HeadViews(views.head, views.index)

    def measure(
        self,
        image: Float[Tensor, "3 height width"],
        mask: Float[Tensor, "1 height width"],
        *,
        head: int | None = None,
    ) -> Float[Tensor, "1 found_height found_width"]:
        """Compare the mask of one image ([-1, 1]) with its segmentation, and return the segmentation.

        Args:
            head: number of the head that it shows; None for another one than on all other images.
        """
        found = self.segmenter.mask(image)
        self._heads.append(-len(self._heads) - 1 if head is None else head)
        self._errors.append((*mask_error(mask, found), outside(mask, found)))
        return found

    def results(self) -> list[Result]:
        """Return mean squared error, IoU at 0.5, and mean opacity where the segmentation shows background."""
        counts = {"views": len(self._errors)}
        names: tuple[tuple[str, Better], ...] = (
            ("mask error", "lower"),
            ("mask IoU", "higher"),
            ("opacity on background", "lower"),
        )
        found = []
        for column, (name, better) in enumerate(names):
            values = [row[column] for row in self._errors]
            low, high = mean_interval(values, self._heads)
            found.append(Result(metric=name, value=_mean(values), low=low, high=high, better=better, counts=counts))
        if self._swaps:
            found.append(
                Result(metric="background swap error", value=_mean(self._swaps), counts={"views": len(self._swaps)})
            )
        return found


def mask_error(
    mask: Float[Tensor, "1 height width"], reference: Float[Tensor, "1 low_height low_width"]
) -> tuple[float, float]:
    """Return mean squared difference, and intersection over union at threshold 0.5 (1 for two empty masks)."""
    reference = _fit(reference, mask)
    a, b = mask > 0.5, reference > 0.5
    union = float((a | b).sum())
    overlap = float((a & b).sum()) / union if union else 1.0
    return float((mask - reference).square().mean()), overlap


def outside(mask: Float[Tensor, "1 height width"], reference: Float[Tensor, "1 low_height low_width"]) -> float:
    """Return the mean of the mask where the reference is below 0.5; nan where it never is."""
    background = _fit(reference, mask) < 0.5
    return float(mask[background].mean()) if background.any() else math.nan


def leakage(mask: Float[Tensor, "1 height width"]) -> float:
    """Return the mean opacity farther than RIM from all opaque pixels (mask > 0.5); nan without such pixels.

    It needs no segmentation, so it is blind to a head that is too large and measures haze and debris around it only;
    debris that is itself opaque and larger than 1 % of the head's area is left to the check for floaters.
    """
    opaque = mask[0].detach().cpu().numpy() > 0.5
    pieces, count = ndimage.label(opaque)
    if count == 0:
        return float(mask.mean())
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    body = np.isin(pieces, np.flatnonzero(sizes >= 0.01 * sizes.max()))
    away = ndimage.distance_transform_edt(~body) > RIM * mask.shape[-1]
    return float(mask[0].detach().cpu()[torch.from_numpy(away)].mean()) if away.any() else math.nan


def _fit(values: Float[Tensor, "1 low_height low_width"], like: Float[Tensor, "1 height width"]) -> Tensor:
    size = (like.shape[-2], like.shape[-1])
    if values.shape == like.shape:
        return values
    return F.interpolate(values[None], size, mode="bilinear", align_corners=False)[0]


def _mean(values: list[float]) -> float:
    kept = [value for value in values if math.isfinite(value)]
    return float(np.mean(kept)) if kept else math.nan
