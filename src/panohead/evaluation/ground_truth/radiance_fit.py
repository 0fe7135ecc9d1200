"""NeRF of one person from many views (Mildenhall et al. 2020): what views alone give, without any prior of heads.

A network of the encoded point and direction is fitted to colors and masks of all photos, by this package's renderer.
It is no method for one photo but the ceiling that reconstructions from few photos are compared with.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from panohead.errors import UsageError
from panohead.evaluation.ground_truth.people import GroundTruthView
from panohead.evaluation.warping import DepthView
from panohead.geometry.camera import Camera
from panohead.geometry.rays import rays_from_camera
from panohead.models.implicit.graf import encoded_width, positional_encoding
from panohead.randomness import RenderRandomness
from panohead.rendering.renderer import RenderConfig, render_rays
from panohead.system.bounds import Bounded, Count, Layers, Natural, NotNegative, Width


@dataclass(frozen=True, kw_only=True)
class RadianceConfig(Bounded):
    """Settings of a fit. The paper's network has 8 layers of 256 units, and 200,000 steps or more of 4096 rays.

    Attributes:
        layers, width: hidden layers that density is computed from, and their units.
        position_octaves, direction_octaves: frequencies of the encodings (the paper: 10 and 4).
        samples: samples of a ray in each of two passes.
        steps, rays: steps of Adam, and rays of each.
        learning_rate: at the start; it falls to a tenth (as in the paper).
        mask_weight: weight of the squared error of masks beside that of colors; the paper has no masks.
    """

    layers: Layers = 4
    width: Width = 64
    position_octaves: Count = 6
    direction_octaves: Count = 2
    samples: Natural = 24
    steps: Natural = 1000
    rays: Natural = 768
    learning_rate: NotNegative = 5e-3
    mask_weight: NotNegative = 0.5


DENSITY_GAIN = 40.0
"""Factor of raw densities: outputs of about one must be able to say that 0.05 world units are opaque."""
RENDERING = RenderConfig(ray_start=2.2, ray_end=3.2, box_warp=1.0, crop_margin=0.0, white_background=True)
"""Rays from before the head to behind it, on white; samples are the fit's."""


class RadianceField(nn.Module):
    """A network from points (world units) and directions to raw density and colors, for one scene."""

    def __init__(self, config: RadianceConfig) -> None:
        super().__init__()
        self.config = config
        point = encoded_width(config.position_octaves)
        sizes = [point, *[config.width] * config.layers]
        layers: list[nn.Module] = []
        for inside, outside in pairwise(sizes):
            layers += [nn.Linear(inside, outside), nn.ReLU()]
        self.trunk = nn.Sequential(*layers)
        self.density = nn.Linear(sizes[-1], 1)
        hidden = max(config.width // 2, 1)
        self.color = nn.Sequential(
            nn.Linear(sizes[-1] + encoded_width(config.direction_octaves), hidden), nn.ReLU(), nn.Linear(hidden, 3)
        )

    def forward(
        self, points: Float[Tensor, "batch point 3"], directions: Float[Tensor, "batch point 3"]
    ) -> tuple[Float[Tensor, "batch point 1"], Float[Tensor, "batch point 3"]]:
        """Return raw density and colors, [0, 1]."""
        half = RENDERING.box_warp / 2
        hidden = self.trunk(positional_encoding(points / half, self.config.position_octaves))
        toward = positional_encoding(directions, self.config.direction_octaves)
        return self.density(hidden) * DENSITY_GAIN, self.color(torch.cat([hidden, toward], dim=-1)).sigmoid()


@dataclass(frozen=True)
class FieldAlongRays:
    """A radiance field with the directions of the rays that are rendered; the renderer asks for points ray by ray."""

    field: RadianceField
    directions: Float[Tensor, "batch ray 3"]

    def __call__(
        self, points: Float[Tensor, "batch point 3"]
    ) -> tuple[Float[Tensor, "batch point 1"], Float[Tensor, "batch point 3"]]:
        """Return raw density and colors at the points of all rays, one ray after the other."""
        samples = points.shape[1] // self.directions.shape[1]
        return self.field(points, self.directions.repeat_interleave(samples, dim=1))


@dataclass(frozen=True)
class FittedRadiance:
    """A fitted field; :meth:`view` renders it."""

    field: RadianceField

    @torch.no_grad()
    def view(self, camera: Camera, side: int) -> DepthView:
        """Return the view of a camera (without batch dimension) of ``side`` x ``side`` rays, sampled evenly."""
        origins, directions = rays_from_camera(camera.expand(1), side)
        parts = []
        for chosen in torch.arange(side * side).split(4096):
            o, d = origins[:, chosen], directions[:, chosen]
            parts.append(
                render_rays(FieldAlongRays(self.field, d), o, d, _rendering(self.field.config), RenderRandomness.even())
            )
        color, depth, mask = (
            torch.cat([getattr(part, name) for part in parts], dim=1)[0].T.unflatten(1, (side, side))
            for name in ("features", "depth", "weight_sum")
        )
        return DepthView(color * 2 - 1, depth, mask, camera)


def fit_radiance(
    views: Sequence[GroundTruthView], config: RadianceConfig | None = None, *, seed: int = 0
) -> FittedRadiance:
    """Fit a field to photos of one person, composited over white by their masks.

    Args:
        views: photos of equal size with masks and cameras.
        seed: of weights and rays.

    Raises:
        UsageError: without views.
    """
    config = RadianceConfig() if config is None else config
    if not views:
        raise UsageError("a radiance field is fitted to photos; give at least one")
    rays = [rays_from_camera(view.camera.expand(1), view.photo.shape[0]) for view in views]
    origins, directions = (torch.cat([ray[k][0] for ray in rays]) for k in (0, 1))  # all pixels of all photos
    mask = torch.cat([torch.from_numpy(view.mask).float().reshape(-1, 1) for view in views])
    color = torch.cat([torch.from_numpy(view.photo.copy()).float().reshape(-1, 3) / 255 for view in views])
    color = color * mask + 1 - mask
    # Half of the rays where the person is: backgrounds are white everywhere, and soon known.
    inside = (
        F.max_pool2d(torch.cat([torch.from_numpy(v.mask)[None, None].float() for v in views]), 9, 1, 4) > 0
    ).flatten()
    person, anywhere = inside.nonzero()[:, 0], torch.arange(len(mask))
    rng = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        field = RadianceField(config)
    adam = torch.optim.Adam(field.parameters(), lr=config.learning_rate, betas=(0.9, 0.99))
    schedule = torch.optim.lr_scheduler.ExponentialLR(adam, 0.1 ** (1 / config.steps))
    randomness = RenderRandomness(generator=rng)
    for _ in range(config.steps):
        half = config.rays // 2 if len(person) else 0
        chosen = torch.cat([_some(person, half, rng), _some(anywhere, config.rays - half, rng)])
        o, d = origins[None, chosen], directions[None, chosen]
        found = render_rays(FieldAlongRays(field, d), o, d, _rendering(config), randomness)
        loss = F.mse_loss(found.features[0], color[chosen])
        loss = loss + config.mask_weight * F.mse_loss(found.weight_sum[0], mask[chosen])
        adam.zero_grad(set_to_none=True)
        loss.backward()
        adam.step()
        schedule.step()
    return FittedRadiance(field.eval().requires_grad_(False))


def _rendering(config: RadianceConfig) -> RenderConfig:
    return replace(RENDERING, depth_samples=config.samples, importance_samples=config.samples)


def _some(places: Tensor, count: int, rng: torch.Generator) -> Tensor:
    return places[torch.randint(max(len(places), 1), (count,), generator=rng)] if count else places[:0]
