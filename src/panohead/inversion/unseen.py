"""The sides that no photo shows: kept as the untuned generator makes them, so that tuning does not ruin them."""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from panohead.geometry import Camera, rays_from_camera
from panohead.mesh.surface import OFFICIAL_LEVEL
from panohead.models.generator import Generator, Rendering
from panohead.rendering.field import TriGridField

_PITCHES_DEG = (0.0, 25.0, -20.0)
_RING = 12
_STRIDE = 0.4
_STEPS = (-0.02, 0.0, 0.02)
_SOFTNESS = 5.0


class UnseenViews:
    """Views of the untuned head from cameras at least ``least_angle_deg`` away from every photo's camera.

    Pictures (with super-resolution), masks and surfaces from half the rays are made once and kept.
    """

    def __init__(
        self,
        generator: Generator,
        ws: Float[Tensor, "1 num_ws w_dim"],
        cameras: Sequence[Camera],
        *,
        least_angle_deg: float,
    ) -> None:
        self.cameras = unseen_cameras(cameras, least_angle_deg)
        self._stride = coprime(self.count)
        self._resolution = max(generator.config.neural_rendering_resolution // 2, 8)
        with torch.no_grad():
            field = generator.field(ws)
            self._before = [self._look(generator, field, ws, camera) for camera in self.cameras]
            self._surface = []
            for camera, view in zip(self.cameras, self._before, strict=True):
                points = surface_points(view, camera.to(ws.device))
                self._surface.append((points, occupancy(field, points) if len(points) else points[:, 0]))

    @property
    def count(self) -> int:
        """How many there are; none if the photos look from everywhere."""
        return len(self.cameras)

    def difference(
        self, generator: Generator, field: TriGridField, ws: Float[Tensor, "1 num_ws w_dim"], turn: int
    ) -> Float[Tensor, ""]:
        """Mean absolute difference of picture, mask, and occupancy at the surface, in one view: ``count`` turns in
        succession see each of them once.

        Occupancy stands for depth, which has no usable gradient along rays that hit nothing.
        """
        index = turn * self._stride % self.count
        before, now = self._before[index], self._look(generator, field, ws, self.cameras[index])
        images = (now.image - before.image).abs().mean() + (now.mask - before.mask).abs().mean()
        points, occupied = self._surface[index]
        if len(points) == 0:
            return images
        return images + (occupancy(field, points) - occupied).abs().mean()

    def _look(self, generator: Generator, field: TriGridField, ws: Tensor, camera: Camera) -> Rendering:
        return generator.render_view(field, ws, camera.to(ws.device), resolution=self._resolution)


def coprime(count: int) -> int:
    """A stride that visits all of ``count`` places, neighbours long after each other."""
    stride = max(1, round(_STRIDE * count))
    while math.gcd(stride, count) > 1:
        stride += 1
    return stride


def surface_points(view: Rendering, camera: Camera) -> Float[Tensor, "point 3"]:
    """World points on, before and behind the surface that a view shows where it is opaque."""
    origins, directions = rays_from_camera(camera.expand(1), view.depth.shape[-1])
    opaque = view.mask.flatten() > 0.5
    depths = view.depth.flatten()[opaque]
    starts, ahead = origins[0][opaque], directions[0][opaque]
    return torch.cat([starts + ahead * (depths + step)[:, None] for step in _STEPS])


def occupancy(field: TriGridField, points: Float[Tensor, "point 3"]) -> Float[Tensor, " point"]:
    """Density squeezed to 0..1, a half at the official surface."""
    return torch.sigmoid((field.density(points[None])[0, :, 0] - OFFICIAL_LEVEL) / _SOFTNESS)


def unseen_cameras(cameras: Sequence[Camera], least_angle_deg: float) -> list[Camera]:
    """Cameras on three rings around the head that look from elsewhere than the given ones."""
    directions = torch.nn.functional.normalize(torch.stack([c.position.detach().cpu() for c in cameras]), dim=-1)
    found = []
    for i in range(_RING):
        camera = Camera.orbit(360 * i / _RING, _PITCHES_DEG[i % len(_PITCHES_DEG)])
        towards = torch.nn.functional.normalize(camera.position, dim=-1)
        angle = torch.rad2deg(torch.arccos((directions @ towards).clamp(-1, 1)))
        if bool((angle >= least_angle_deg).all()):
            found.append(camera)
    return found
