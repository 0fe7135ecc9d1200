"""Regularization of tuning: the surface stays where w put it, on the sides that a photo shows too.

One photo says little about depth, so a tuned surface explains colors by shape: noses and lips grow towards the camera,
which only a profile shows. Appearance is free to change; shape is what the person's w says.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from panohead.geometry import Camera
from panohead.inversion.regularizers.unseen import occupancy, surface_points, unseen_cameras
from panohead.models.generator import Generator
from panohead.rendering.field import HeadField

_POINTS = 3072  # a step
_FREE = 0.25  # free points per point about the surface
_SEED = 7


class GeometryAnchor:
    """Points on, before and behind the untuned surface as seen from all sides, and some anywhere, with their occupancy.

    Args:
        generator: untuned generator.
        ws: ws of the head.
        cameras: cameras of the photos, without batch dimension; their sides are looked at too.
    """

    def __init__(self, generator: Generator, ws: Float[Tensor, "1 num_ws w_dim"], cameras: Sequence[Camera]) -> None:
        resolution = max(generator.config.neural_rendering_resolution // 2, 8)
        with torch.no_grad():
            field = generator.prepared_field(ws)
            found = []
            for camera in (*unseen_cameras(cameras, 0.0), *cameras):
                camera = camera.to(ws.device)
                view = generator.render_view(field, ws, camera, resolution=resolution, superresolve=False)
                found.append(surface_points(view, camera))
            # On the CPU, so that every device has the same points in the same order.
            random = torch.Generator().manual_seed(_SEED)
            surface = torch.cat(found)
            free = torch.rand(max(1, round(_FREE * len(surface))), 3, generator=random) - 0.5
            points = torch.cat([surface, generator.config.rendering.box_warp * free.to(surface)])
            self._points = points[torch.randperm(len(points), generator=random).to(points.device)]
            self._occupied = occupancy(field, self._points)

    def difference(self, field: HeadField, step: int) -> Float[Tensor, ""]:
        """Return the mean absolute difference of occupancy at the points of one step; successive steps take others.

        Args:
            field: tuned tri-grid.
            step: number of the step.
        """
        count = min(_POINTS, len(self._points))
        chosen = (torch.arange(count, device=self._points.device) + step * count) % len(self._points)
        return (occupancy(field, self._points[chosen]) - self._occupied[chosen]).abs().mean()
