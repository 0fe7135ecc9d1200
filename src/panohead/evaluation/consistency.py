"""3D consistency: agreement of views of one head, faithfulness of super-resolution to the rendering, flicker of turns.

Colors are compared on a scale of 0 to 1. Lighting is baked into this family of models, so a perfectly consistent
head has an error of resampling only.
"""

import math
from dataclasses import dataclass, field

import numpy as np
import torch.nn.functional as F

from panohead.evaluation.head_views import HeadViews
from panohead.evaluation.intervals import mean_interval
from panohead.evaluation.results import Result
from panohead.evaluation.warping import OPAQUE, DepthView, photometric_error
from panohead.frame import Frame

BASES = (0.0, 90.0, 180.0, 270.0)
BASELINES = {"small (10 deg)": 10.0, "large (40 deg)": 40.0}
FLICKER_STEP_DEG = 2.0


@dataclass
class Consistency:
    """Warping error for a small and a large baseline, gap between raw and super-resolved images, flicker."""

    _errors: dict[str, list[tuple[float, float]]] = field(default_factory=lambda: {name: [] for name in BASELINES})
    _raw_errors: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in BASELINES})
    _gaps: list[float] = field(default_factory=list)
    _flicker: list[tuple[float, float]] = field(default_factory=list)
    _heads: int = 0

    def add(self, views: HeadViews) -> None:
        """Measure one head from four sides, each with neighboring views."""
        self._heads += 1
        for base in BASES:
            middle = views.at(base)
            for name, baseline in BASELINES.items():
                other = views.at(base + baseline)
                self._errors[name].append(photometric_error(DepthView.of(other), DepthView.of(middle)))
                raw = photometric_error(DepthView.of(other, raw=True), DepthView.of(middle, raw=True))
                self._raw_errors[name].append(raw[0])
            self._gaps.append(resolution_gap(middle))
            around = [views.at(base + sign * FLICKER_STEP_DEG) for sign in (-1, 1)]
            self._flicker.append(flicker(around[0], middle, around[1]))

    def results(self) -> list[Result]:
        """Return errors on a scale of 0 to 1, means over heads and sides."""
        found = []
        counts = {"heads": self._heads, "pairs": self._heads * len(BASES)}
        for name, errors in self._errors.items():
            values, shares = np.array(errors).reshape(-1, 2).T
            low, high = mean_interval(values.tolist(), [place // len(BASES) for place in range(len(values))])
            details = {"covisible_share": _mean(shares), "raw_pictures": _mean(np.array(self._raw_errors[name]))}
            found.append(
                Result(
                    metric="warping error",
                    subset=name,
                    value=_mean(values),
                    low=low,
                    high=high,
                    counts=counts,
                    details=details,
                )
            )
        found.append(Result(metric="raw to super-resolved", value=_mean(np.array(self._gaps)), counts=counts))
        moving, raw = np.array(self._flicker).reshape(-1, 2).T
        found.append(Result(metric="flicker", value=_mean(moving), counts=counts, details={"raw_pictures": _mean(raw)}))
        return found


def resolution_gap(frame: Frame) -> float:
    """Return the mean absolute difference of the raw image and the super-resolved one averaged down, where opaque."""
    view = DepthView.of(frame)
    opaque = view.mask[0] > OPAQUE
    if not opaque.any():
        return math.nan
    return float((view.image - frame.image_raw).abs().mean(dim=0)[opaque].mean() / 2)


def flicker(before: Frame, now: Frame, after: Frame) -> tuple[float, float]:
    """Return half the mean absolute second difference of three frames, where opaque: of images and raw images.

    Steady motion of soft shading cancels; what jumps from frame to frame stays. The raw images' value is the part that
    volume rendering itself contributes.
    """
    values = []
    for images in ((before.image, now.image, after.image), (before.image_raw, now.image_raw, after.image_raw)):
        size = (images[0].shape[-2], images[0].shape[-1])
        opaque = F.interpolate(now.mask[None], size, mode="nearest")[0, 0] > OPAQUE
        second = (images[0] - 2 * images[1] + images[2]).abs().mean(dim=0) / 4
        values.append(float(second[opaque].mean()) if opaque.any() else math.nan)
    return values[0], values[1]


def _mean(values: np.ndarray) -> float:
    kept = values[np.isfinite(values)]
    return float(kept.mean()) if len(kept) else math.nan
