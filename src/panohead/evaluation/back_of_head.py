"""Metrics for a mirrored face on the back of the head (a known flaw of these models), and for debris and cuts."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, Protocol, runtime_checkable

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from scipy import ndimage
from torch import Tensor

from panohead.evaluation.head_views import HeadViews
from panohead.evaluation.intervals import mean_interval, rate_interval
from panohead.evaluation.results import Result
from panohead.evaluation.warping import OPAQUE, DepthView
from panohead.head import Head
from panohead.mesh.surface import OFFICIAL_LEVEL

BACK_YAWS = (160.0, 180.0, 200.0)
FRONT_YAWS = (-20.0, 0.0, 20.0)
MIN_FLOATER = 1e-4
"""Minimum volume of a counted separate piece, as a share of the largest piece."""


@runtime_checkable
class FaceDetector(Protocol):
    """Detector of faces in an image."""

    def confidence(self, image: Float[Tensor, "3 height width"]) -> float:
        """Return the confidence, 0 (no face) to 1, that an image ([-1, 1]) shows a face."""


@dataclass
class BackOfHead:
    """Mirror scores of heads and, with a face detector, the rates of faces found on back and front views."""

    detector: FaceDetector | None = None
    threshold: float = 0.6
    _scores: list[tuple[float, float]] = field(default_factory=list)
    _found: dict[str, list[bool]] = field(default_factory=lambda: {"back": [], "front": []})
    _heads: dict[str, set[int]] = field(default_factory=lambda: {"back": set(), "front": set()})

    def add(self, views: HeadViews) -> None:
        """Measure the front and back views of one head."""
        front, back = DepthView.of(views.at(0.0)), DepthView.of(views.at(180.0))
        self._scores.append((mirror_score(front, back), relief_score(front, back)))
        if self.detector is not None:
            sides: tuple[tuple[Literal["front", "back"], tuple[float, ...]], ...] = (
                ("back", BACK_YAWS),
                ("front", FRONT_YAWS),
            )
            for name, yaws in sides:
                for yaw in yaws:
                    self.detect(name, views.at(yaw).image, head=len(self._scores))

    def detect(
        self, name: Literal["front", "back"], image: Float[Tensor, "3 height width"], *, head: int | None = None
    ) -> None:
        """Run the face detector on one image ([-1, 1]) of the front or the back.

        Args:
            head: number of the head that it shows; None for another one than on all other images.
        """
        if self.detector is not None:
            self._heads[name].add(-len(self._found[name]) - 1 if head is None else head)
            self._found[name].append(self.detector.confidence(image) >= self.threshold)

    def results(self) -> list[Result]:
        """Return scores in [-1, 1] (0 without mirroring, 1 for a perfect mirror) and detection rates in [0, 1]."""
        scores = np.array(self._scores).reshape(-1, 2)
        counts = {"heads": len(scores)}
        worst = float(np.nanmax(scores[:, 0])) if np.isfinite(scores[:, 0]).any() else math.nan
        heads = range(len(scores))
        intervals = [mean_interval(column.tolist(), heads) for column in scores.T]
        found = [
            Result(
                metric="mirror score",
                subset=name,
                value=float(np.nanmean(column)) if np.isfinite(column).any() else math.nan,
                low=low,
                high=high,
                counts=counts,
                details={"worst_head_colour": worst},
            )
            for name, column, (low, high) in zip(("colour", "relief"), scores.T, intervals, strict=True)
            if len(scores)
        ]
        if self.detector is not None:
            for name, hits in self._found.items():
                rate = float(np.mean(hits)) if hits else math.nan
                low, high = rate_interval(rate, len(self._heads[name]))
                found.append(
                    Result(
                        metric="face detection rate",
                        subset=name,
                        value=rate,
                        low=low,
                        high=high,
                        better="lower" if name == "back" else "higher",
                        counts={"views": len(hits), "heads": len(self._heads[name])},
                        details={"threshold": self.threshold},
                    )
                )
        return found


def mirror_score(front: DepthView, back: DepthView) -> float:
    """Return the correlation of the fine structure of the back view with that of the mirrored front view.

    A density that is the same before and behind the head shows the back camera the mirrored image of the front. Shading
    and silhouette correlate in correct heads too, so the blurred version is subtracted from both. nan where the views
    share no pixels.
    """
    return _mirrored_correlation(front, back, front.image.mean(dim=0), back.image.mean(dim=0), _fine)


def relief_score(front: DepthView, back: DepthView) -> float:
    """Return the same correlation for depth maps: high for a nose and eye sockets on the back, whatever their color.

    Every head is round in front and behind, so the best polynomial of fourth degree is subtracted from both.
    """
    return _mirrored_correlation(front, back, front.depth[0], back.depth[0], _rough)


Detail = Callable[[Tensor, Tensor, Tensor, int], Tensor]
"""Function of values, known pixels, inner pixels and a radius (pixels) that returns the fine detail at inner pixels."""


def _mirrored_correlation(
    front: DepthView,
    back: DepthView,
    first: Float[Tensor, "height width"],
    second: Float[Tensor, "height width"],
    detail: Detail,
) -> float:
    shared = (front.mask[0].flip(-1) > OPAQUE) & (back.mask[0] > OPAQUE)
    width = max(2, shared.shape[-1] // 16)
    inner = torch.from_numpy(ndimage.binary_erosion(shared.cpu().numpy(), iterations=width))
    if int(inner.sum()) < 16:
        return math.nan
    a, b = (detail(values.cpu(), shared.cpu(), inner, width) for values in (first.flip(-1), second))
    a, b = a - a.mean(), b - b.mean()
    spread = a.norm() * b.norm()
    return float((a * b).sum() / spread) if spread > 0 else 0.0


def _fine(
    values: Float[Tensor, "height width"],
    known: Bool[Tensor, "height width"],
    inner: Bool[Tensor, "height width"],
    radius: int,
) -> Float[Tensor, " pixel"]:
    """Return values minus their mean over the known pixels of a square window."""
    size, weight = 2 * radius + 1, known.to(values.dtype)
    filled = torch.where(known, values, torch.zeros_like(values))
    total, number = (F.avg_pool2d(x[None, None], size, 1, radius)[0, 0] for x in (filled, weight))
    return (filled - total / number.clamp_min(1e-6))[inner]


def _rough(
    values: Float[Tensor, "height width"],
    known: Bool[Tensor, "height width"],
    inner: Bool[Tensor, "height width"],
    radius: int,
) -> Float[Tensor, " pixel"]:
    """Return values minus their least-squares polynomial of fourth degree over the inner pixels."""
    place = inner.nonzero().double() / inner.shape[-1] * 2 - 1
    terms = torch.stack([place[:, 0] ** i * place[:, 1] ** j for i in range(5) for j in range(5 - i)], dim=1)
    wanted = values[inner].double()[:, None]
    return (wanted - terms @ torch.linalg.lstsq(terms, wanted).solution)[:, 0].float()


@dataclass
class DensityChecks:
    """Debris outside the head, and faces of the rendering box that cut the head."""

    resolution: int = 96
    level: float = OFFICIAL_LEVEL
    _pieces: list[tuple[int, float]] = field(default_factory=list)
    _cuts: list[dict[str, float]] = field(default_factory=list)

    def add(self, views: HeadViews) -> None:
        """Measure the density of one head on a regular grid."""
        solid = occupancy(views.head, self.resolution, self.level)
        self._pieces.append(floaters(solid))
        self._cuts.append(box_cuts(solid))

    def results(self) -> list[Result]:
        """Return the volume share of debris, and the largest share of a box face (without the neck) inside the head."""
        counts = {"heads": len(self._pieces)}
        settings = {"grid": self.resolution, "level": self.level}
        pieces = np.array([piece for piece in self._pieces if math.isfinite(piece[1])]).reshape(-1, 2)
        number, share = (float(column.mean()) if len(pieces) else math.nan for column in pieces.T)
        cuts = {side: float(np.mean([cut[side] for cut in self._cuts])) for side in SIDES}
        others = [value for side, value in cuts.items() if side != "neck"]
        return [
            Result(metric="floaters", value=share, counts=counts, details={**settings, "pieces_per_head": number}),
            Result(metric="box cuts", value=max(others), counts=counts, details={**settings, **cuts}),
        ]


SIDES = {"right": (0, 0), "left": (0, -1), "neck": (1, 0), "crown": (1, -1), "back": (2, 0), "front": (2, -1)}
"""Faces of the box as (axis of x y z, end of the axis)."""


def occupancy(
    head: Head, resolution: int, level: float, density: Callable[[Tensor], Tensor] | None = None
) -> Bool[np.ndarray, "x y z"]:
    """Return the grid nodes of the renderer's part of the box with a raw density above ``level``.

    Args:
        resolution: nodes per axis.
        density: world points (point 3) to raw density; None for that of the head.
    """
    config = head.generator.config.rendering
    half = config.box_warp / 2
    ends = [half - config.crop_margin, half, half - config.crop_margin]
    axes = [torch.linspace(-end, end, resolution, device=head.ws.device) for end in ends]
    planes = []
    for x in axes[0]:
        y, z = torch.meshgrid(axes[1], axes[2], indexing="ij")
        points = torch.stack([x.expand_as(y), y, z], dim=-1).reshape(-1, 3)
        values = head.density(points) if density is None else density(points)
        planes.append((values > level).reshape(resolution, resolution).cpu().numpy())
    return np.stack(planes)


def floaters(solid: Bool[np.ndarray, "x y z"]) -> tuple[int, float]:
    """Return the number of pieces beside the largest and their share of the volume; (0, nan) for an empty box.

    Pieces below MIN_FLOATER do not count. Two nodes that touch by a corner are one piece.
    """
    pieces, count = ndimage.label(solid, structure=np.ones((3, 3, 3)))
    if count == 0:
        return 0, math.nan
    volumes = np.sort(np.bincount(pieces.ravel())[1:])[::-1]
    debris = volumes[1:][volumes[1:] >= MIN_FLOATER * volumes[0]]
    return len(debris), float(debris.sum() / volumes.sum())


def box_cuts(solid: Bool[np.ndarray, "x y z"]) -> dict[str, float]:
    """Return the share of each box face that lies inside the head. The neck is always cut."""
    return {name: float(solid.take(end, axis=axis).mean()) for name, (axis, end) in SIDES.items()}
