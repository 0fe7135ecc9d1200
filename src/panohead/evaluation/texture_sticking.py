"""Texture sticking in turntables: the share of fine detail that stays on the screen while the surface below it moves.

Karras et al. (2021, figure 1) show the effect by stacking one segment of pixels over the frames of a video: detail that
sticks to the pixels draws straight streaks. The number for it here: views of one head are high-passed along their rows,
the direction in which a turn moves surfaces (so that lines along the motion, which seem to stand still, do not count),
and correlated at the same pixels, where the rendered depth says that the surface has moved on by more than detail is
wide. A pattern of the screen gives 1, one of the surface 0, and the sum of two independent ones the screen's share of
the energy.
"""

import itertools
import math
from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from panohead.evaluation.head_views import HeadViews
from panohead.evaluation.results import Result
from panohead.evaluation.warping import OPAQUE, DepthView, points_of, warp
from panohead.frame import Frame
from panohead.geometry.rays import project

BASES = (0.0, 90.0, 180.0, 270.0)
STEPS_DEG = (0.0, 10.0, 20.0, 40.0)
"""Views around every base; their pairs are compared."""
MIN_MOTION = 4.0
"""Smallest motion of the surface along the rows, pixels: high-passed detail is no longer like itself."""
_SIGMA = 1.5  # pixels: what is narrower than about 6 pixels is detail
_REACH = 5  # pixels from which on the low-pass is nothing


@dataclass
class Correlation:
    """Sums of products of two signals, of which one is the other's expected place.

    Attributes:
        product, first, second: sums of products and squares.
        pixels: number of places.
    """

    product: float = 0.0
    first: float = 0.0
    second: float = 0.0
    pixels: int = 0

    def add(self, first: Tensor, second: Tensor) -> None:
        """Add the values "channel pixel" of both signals at the same places."""
        self.product += float((first * second).sum())
        self.first += float(first.square().sum())
        self.second += float(second.square().sum())
        self.pixels += first.shape[1]

    @property
    def value(self) -> float:
        """Correlation, -1 to 1; NaN without any signal."""
        energy = math.sqrt(self.first * self.second)
        return self.product / energy if energy > 0 else math.nan


@dataclass
class TextureSticking:
    """Share of detail that sticks to the screen, and the correlation of detail along the surface."""

    _screen: list[float] = field(default_factory=list)
    _surface: list[float] = field(default_factory=list)
    _pixels: int = 0

    def add(self, views: HeadViews) -> None:
        """Measure one head from four sides, each in neighboring views."""
        screen, surface = Correlation(), Correlation()
        for base in BASES:
            frames = [views.at(base + step) for step in STEPS_DEG]
            for first, second in itertools.combinations(frames, 2):
                compare_detail(first, second, screen, surface)
        self._screen.append(screen.value)
        self._surface.append(surface.value)
        self._pixels += screen.pixels

    def results(self) -> list[Result]:
        """Return the mean over heads, with twice its standard error as the interval."""
        screen, surface = (np.array(values)[np.isfinite(values)] for values in (self._screen, self._surface))
        if not len(screen):
            return [Result(metric="texture sticking", value=math.nan, counts={"heads": 0, "pixels": 0})]
        spread = 1.96 * float(screen.std(ddof=1)) / math.sqrt(len(screen)) if len(screen) > 1 else None
        mean = float(screen.mean())
        return [
            Result(
                metric="texture sticking",
                value=mean,
                low=None if spread is None else mean - spread,
                high=None if spread is None else mean + spread,
                counts={"heads": len(screen), "pixels": self._pixels},
                details={"follows_surface": float(surface.mean()), "min_motion_pixels": MIN_MOTION},
            )
        ]


def compare_detail(first: Frame, second: Frame, screen: Correlation, surface: Correlation) -> None:
    """Correlate the fine detail of two frames of one head at the same pixels, and at the same points of the surface.

    Args:
        first, second: frames of one size from cameras at different yaws.
        screen: gets the detail at the same pixels of both, where the surface has moved by MIN_MOTION or more.
        surface: gets the detail at the points that both show, at the same pixels of the second frame.
    """
    one, other = _detail(first), _detail(second)
    moved, seen = warp(one, other)
    side = other.image.shape[-1]
    places, _, _ = project(points_of(other), one.camera)
    columns = torch.arange(side) + 0.5
    motion = ((places[..., 0] + 1) * side / 2 - columns).abs()
    solid = _solid(one.mask)
    # Both pixels and, for the surface, the point's pixel in the first frame lie inside of the silhouette.
    there = F.grid_sample(solid[None, None].float(), places[None], mode="nearest", align_corners=False)[0, 0] > 0
    used = seen & there & solid & _solid(other.mask) & (motion >= MIN_MOTION)
    screen.add(one.image[:, used], other.image[:, used])
    surface.add(moved[:, used], other.image[:, used])


def _detail(frame: Frame) -> DepthView:
    """Return the image high-passed along its rows, with depth and mask at its size."""
    size = (frame.image.shape[-2], frame.image.shape[-1])
    depth, mask = (
        F.interpolate(x[None], size, mode="bilinear", align_corners=False)[0] for x in (frame.depth, frame.mask)
    )
    return DepthView(row_detail(frame.image), depth, mask, frame.camera)


def row_detail(image: Float[Tensor, "channel height width"]) -> Float[Tensor, "channel height width"]:
    """Return an image minus its Gaussian low-pass along the rows (standard deviation 1.5 pixels)."""
    taps = torch.arange(-_REACH, _REACH + 1, dtype=image.dtype)
    kernel = torch.exp(-taps.square() / (2 * _SIGMA**2))
    kernel = kernel / kernel.sum()
    padded = F.pad(image[:, None], (_REACH, _REACH, 0, 0), mode="replicate")
    return image - F.conv2d(padded, kernel[None, None, None])[:, 0]


def _solid(mask: Float[Tensor, "1 height width"]) -> Bool[Tensor, "height width"]:
    """Return pixels so far inside of the silhouette that its edge is in no filter."""
    hole = F.pad((mask <= OPAQUE).float(), (_REACH,) * 4, value=1.0)
    return F.max_pool2d(hole[None], 2 * _REACH + 1, stride=1)[0, 0] == 0
