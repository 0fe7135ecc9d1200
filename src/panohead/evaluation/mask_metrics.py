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
from panohead.evaluation.results import Result
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
        return [Result(metric="leakage", value=_mean(self._shares), counts={"views": len(self._shares)})]


@dataclass
class MaskError:
    """Mask against segmentation and, for generators with a background, segmentation under two backgrounds."""

    segmenter: Segmenter
    _errors: list[tuple[float, float, float]] = field(default_factory=list)
    _swaps: list[float] = field(default_factory=list)
    _previous: HeadViews | None = None

    def add(self, views: HeadViews) -> None:
        """Measure six views of one head; the background is that of the previous head."""
        own_background = views.head.background is not None
        for yaw in YAWS:
            frame = views.at(yaw)
            # Segmenters miss heads on white; the gray background is composited with the generator's own mask.
            found = self.measure(frame.image if own_background else frame.on(GRAY).image, frame.alpha())
            if self._previous is not None and own_background:
                other = views.head.render(Camera.orbit(yaw), background=self._previous.head)
                swapped = self.segmenter.mask(other.image)
                self._swaps.append(float((found - swapped).square().mean()))
        if self._previous is not None:
            self._previous.head.forget()
        self._previous = HeadViews(views.head, views.index)

    def measure(
        self, image: Float[Tensor, "3 height width"], mask: Float[Tensor, "1 height width"]
    ) -> Float[Tensor, "1 found_height found_width"]:
        """Compare the mask of one image ([-1, 1]) with its segmentation, and return the segmentation."""
        found = self.segmenter.mask(image)
        self._errors.append((*mask_error(mask, found), outside(mask, found)))
        return found

    def results(self) -> list[Result]:
        """Return mean squared error, IoU at 0.5, and mean opacity where the segmentation shows background."""
        counts = {"views": len(self._errors)}
        squared, overlap, leaked = (_mean([row[k] for row in self._errors]) for k in range(3))
        found = [
            Result(metric="mask error", value=squared, counts=counts),
            Result(metric="mask IoU", value=overlap, better="higher", counts=counts),
            Result(metric="opacity on background", value=leaked, counts=counts),
        ]
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
