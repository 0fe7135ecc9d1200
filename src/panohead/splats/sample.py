"""First splats of a head: points near its surface with the field's own thickness, colored from views."""

from collections.abc import Callable, Iterable

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from scipy.spatial import cKDTree
from torch import Tensor

from panohead.errors import NoSurfaceError, PanoHeadError
from panohead.mesh.surface import Surface
from panohead.mesh.vertex_colors import ColoringView, blend_views
from panohead.splats.cloud import SplatCloud, turned_to

_REACH = 0.03
"""World units (12 mm) on either side of the surface in which density is looked up."""
_LAYERS = 17
_SPREAD = 0.55
"""Standard deviation along the surface as a share of the distance to the fourth neighbor: no holes remain."""
_FLAT = 0.25
"""Least thickness as a share of that standard deviation."""
_OPACITY = 0.85
_SEEN = 1e-4
_CHUNK = 2**15


def sample_splats(
    surface: Surface,
    density: Callable[[Float[Tensor, "point 3"]], Float[Tensor, " point"]],
    views: Iterable[ColoringView],
    count: int,
    *,
    bottom: float | None = None,
    seed: int = 0,
) -> SplatCloud:
    """Return splats near a surface, as many on every part of it as the part is large.

    Each lies at a depth drawn from what a ray along the normal would meet (so that hair, which is soft, becomes thick),
    and is as thick as that distribution is wide.

    Args:
        surface: in world units.
        density: raw density at points in world units.
        views: renders that color the points.
        count: number of splats.
        bottom: height in world units below which faces get no splats; None for none.
        seed: of the points' random numbers.
    """
    rng = np.random.default_rng(seed)
    places, facing = _surface_points(surface, count, rng, bottom)
    points, normals = torch.from_numpy(places), torch.from_numpy(facing)
    shift, thickness = _depths(points, normals, density, torch.from_numpy(rng.random(count).astype(np.float32)))
    distance, _ = cKDTree(places).query(places, k=5)
    spacing = torch.from_numpy(distance[:, 4].astype(np.float32)).clamp(1e-4, 0.05)
    along = spacing * _SPREAD
    scales = torch.stack([along, along, torch.maximum(thickness * 0.5, along * _FLAT)], dim=1)
    return SplatCloud(
        means=points + normals * shift[:, None],
        log_scales=scales.log(),
        quaternions=turned_to(normals),
        opacity_logits=torch.full((count,), float(np.log(_OPACITY / (1 - _OPACITY)))),
        colors=_colors(points, normals, views),
    )


def _colors(
    points: Float[Tensor, "point 3"], normals: Float[Tensor, "point 3"], views: Iterable[ColoringView]
) -> Float[Tensor, "point 3"]:
    """Return the colors that views show at points of the surface; what none shows takes that of the nearest point."""
    color, total = blend_views(points, normals, views)
    seen = total > _SEEN
    color = (color / total.clamp_min(1e-12)[:, None] * 0.5 + 0.5).clamp(0, 1)
    if not bool(seen.any()):
        raise PanoHeadError("none of the views shows the surface, so splats cannot be colored; check cameras and depth")
    _, nearest = cKDTree(points[seen].numpy()).query(points[~seen].numpy())
    color[~seen] = color[seen][torch.from_numpy(np.asarray(nearest, np.int64))]
    return color


def _surface_points(
    surface: Surface, count: int, rng: np.random.Generator, bottom: float | None
) -> tuple[Float[np.ndarray, "point 3"], Float[np.ndarray, "point 3"]]:
    """Draw points evenly over the area (stratified along the list of faces), with interpolated unit normals."""
    corners = surface.vertices[surface.faces]
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    if bottom is not None:
        area = np.where(corners[:, :, 1].min(axis=1) < bottom, 0, area)
        if not area.any():
            raise NoSurfaceError("the surface lies wholly below the images; there is nothing to draw splats on")
    edges = np.cumsum(area.astype(np.float64))
    drawn = (np.arange(count) + rng.random(count)) / count * edges[-1]
    face = np.minimum(np.searchsorted(edges, drawn, side="right"), len(edges) - 1)
    u, v = rng.random((2, count))
    u, v = np.where(u + v > 1, 1 - u, u), np.where(u + v > 1, 1 - v, v)
    weights = np.stack([1 - u - v, u, v], axis=1)[..., None]
    points = (corners[face] * weights).sum(axis=1)
    normals = (surface.vertex_normals[surface.faces[face]] * weights).sum(axis=1)
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9)
    return points.astype(np.float32), normals.astype(np.float32)


def _depths(
    points: Float[Tensor, "point 3"],
    normals: Float[Tensor, "point 3"],
    density: Callable[[Float[Tensor, "point 3"]], Float[Tensor, " point"]],
    drawn: Float[Tensor, " point"],
) -> tuple[Float[Tensor, " point"], Float[Tensor, " point"]]:
    """Return heights above the surface, drawn from what a ray against the normal meets, and their deviation."""
    heights = torch.linspace(_REACH, -_REACH, _LAYERS)
    step = 2 * _REACH / (_LAYERS - 1)
    shifts, deviations = [], []
    for start in range(0, len(points), _CHUNK):
        part = slice(start, start + _CHUNK)
        line = points[part, None] + heights[:, None] * normals[part, None]
        raw = density(line.reshape(-1, 3)).reshape(-1, _LAYERS).cpu()
        opacity = F.softplus(raw - 1) * step  # docs/reference.md 3.6
        through = torch.exp(-(opacity.cumsum(dim=1) - opacity))
        weight = through * -torch.expm1(-opacity)
        weight = weight / weight.sum(dim=1, keepdim=True).clamp_min(1e-9)
        mean = (weight * heights).sum(dim=1)
        deviation = (weight * (heights - mean[:, None]) ** 2).sum(dim=1).sqrt()
        below = weight.cumsum(dim=1)
        layer = torch.searchsorted(below, drawn[part, None]).clamp_max(_LAYERS - 1)
        inside = (drawn[part, None] - below.gather(1, layer)) / weight.gather(1, layer).clamp_min(1e-9)
        shifts.append((heights[layer] - inside.clamp(-1, 0) * step - step / 2)[:, 0])
        deviations.append(deviation)
    return torch.cat(shifts), torch.cat(deviations)
