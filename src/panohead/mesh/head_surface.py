"""The surface of a head as its mesh settings ask for: extracted, cleaned, trimmed, smoothed and simplified."""

from dataclasses import replace

import torch

from panohead.geometry import FOCAL, RADIUS
from panohead.limits import MESH_RESOLUTION
from panohead.mesh.settings import MeshSettings
from panohead.mesh.simplify import can_simplify, simplified_surface
from panohead.mesh.surface import DensityFunction, GridProgress, Surface, extract_surface, smoothed

FRAME_BOTTOM = -0.5 * RADIUS / FOCAL
"""Lower edge of the official frame at the distance of the world's origin, world units."""


def head_surface(
    density: DensityFunction,
    settings: MeshSettings,
    *,
    box_warp: float,
    crop: float,
    texel: float,
    device: torch.device | str = "cpu",
    progress: GridProgress | None = None,
) -> Surface:
    """Return a head's surface in world units.

    Args:
        density: raw sigma at points in world units.
        settings: grid, level, smoothing, simplification and trimming; unit and texture are not read.
        box_warp, crop: box of the tri-grid and its empty rim, world units (see :func:`extract_surface`).
        texel: side of a texel of the tri-grid in world units.
        device: of the points.
        progress: called while the grid is evaluated.

    Raises:
        NoSurfaceError: when the density reaches the level nowhere.
        PanoHeadError: when the density is not a number.
    """
    trimmed = settings.trim and -box_warp / 2 < FRAME_BOTTOM
    limit, resolution = settings.max_triangles, settings.resolution
    while True:
        surface = extract_surface(
            density,
            resolution=resolution,
            box_warp=box_warp,
            level=settings.level,
            crop=crop,
            bottom=FRAME_BOTTOM if trimmed else None,
            texel=texel if settings.smooth else 0.0,
            device=device,
            progress=progress,
        )
        if limit is None or len(surface.faces) <= limit or can_simplify() or resolution == MESH_RESOLUTION.low:
            break
        # Without the package that simplifies, a coarser grid: triangles grow as its resolution squared.
        coarser = int(resolution * min(0.97 * (limit / len(surface.faces)) ** 0.5, 0.99))
        resolution = max(int(MESH_RESOLUTION.low), coarser)
    if settings.smooth:
        surface = smoothed(surface, settings.smooth)
    if limit is not None:
        surface = simplified_surface(surface, limit)
    step = box_warp / (resolution - 1)
    return replace(surface, floor=FRAME_BOTTOM + step if trimmed else None)
