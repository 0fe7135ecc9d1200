"""Regularization of tuning in views that no photo shows: they stay as the untuned generator renders them."""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from panohead.geometry import Camera, rays_from_camera
from panohead.mesh.surface import OFFICIAL_LEVEL
from panohead.models.generator import Generator, Rendering
from panohead.rendering.field import HeadField

_PITCHES_DEG = (0.0, 25.0, -20.0)
_RING = 12
_STRIDE = 0.4  # share of all views between two in succession, so that neighbors are far apart in time
_STEPS = (-0.02, 0.0, 0.02)  # world units along the ray, about the surface
_SOFTNESS = 5.0  # density over which occupancy goes from 0.27 to 0.5 to 0.73


class UnseenViews:
    """Views of the untuned head from cameras at least ``least_angle_deg`` away from every photo's camera.

    Images (raw and super-resolved), masks and surfaces from half the rays per side are rendered once.

    Args:
        generator: untuned generator.
        ws: ws of the head.
        cameras: cameras of the photos, without batch dimension.
        least_angle_deg: smallest angle to every photo's camera, in degrees.
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
            field = generator.prepared_field(ws)
            self._background = generator.background_features(ws)
            self._before = [self._render(generator, field, ws, camera, self._background) for camera in self.cameras]
            self._surface = []
            for camera, view in zip(self.cameras, self._before, strict=True):
                points = surface_points(view, camera.to(ws.device))
                self._surface.append((points, occupancy(field, points) if len(points) else points[:, 0]))

    @property
    def count(self) -> int:
        """Number of views; 0 if the photos are from all sides."""
        return len(self.cameras)

    def difference(
        self,
        generator: Generator,
        field: HeadField,
        ws: Float[Tensor, "1 num_ws w_dim"],
        number: int,
        *,
        superresolve: bool = True,
    ) -> Float[Tensor, ""]:
        """Return the mean absolute difference of image, mask, and occupancy at the surface, in one view.

        Occupancy takes the place of depth, which has no usable gradient along rays that hit nothing.

        Args:
            generator: tuned generator.
            field: its tri-grid of ``ws``.
            ws: ws of the head.
            number: number of the call; ``count`` calls in succession use every view once.
            superresolve: compare super-resolved images; otherwise raw ones, both on the untuned background.
        """
        index = number * self._stride % self.count
        background = None if superresolve else self._background
        before = self._before[index]
        now = self._render(generator, field, ws, self.cameras[index], background, superresolve=superresolve)
        image = before.image if superresolve else before.image_raw
        images = (now.image - image).abs().mean() + (now.mask - before.mask).abs().mean()
        points, occupied = self._surface[index]
        if len(points) == 0:  # nothing opaque in this view
            return images
        return images + (occupancy(field, points) - occupied).abs().mean()

    def _render(
        self,
        generator: Generator,
        field: HeadField,
        ws: Tensor,
        camera: Camera,
        background: Tensor | None,
        *,
        superresolve: bool = True,
    ) -> Rendering:
        return generator.render_view(
            field,
            ws,
            camera.to(ws.device),
            resolution=self._resolution,
            background=background,
            superresolve=superresolve,
        )


def coprime(count: int) -> int:
    """Return a stride, coprime to ``count``, that visits all of ``count`` places with neighbors far apart in time."""
    stride = max(1, round(_STRIDE * count))
    while math.gcd(stride, count) > 1:
        stride += 1
    return stride


def surface_points(view: Rendering, camera: Camera) -> Float[Tensor, "point 3"]:
    """Return world points on, before and behind the visible surface, for the opaque pixels of a view."""
    origins, directions = rays_from_camera(camera.expand(1), view.depth.shape[-1])
    opaque = view.mask.flatten() > 0.5  # ray: the view is a batch of one
    depths = view.depth.flatten()[opaque]
    starts, ahead = origins[0][opaque], directions[0][opaque]
    # Occupancy changes along the ray at the surface, so points before and behind it tell where it is.
    return torch.cat([starts + ahead * (depths + step)[:, None] for step in _STEPS])


def occupancy(field: HeadField, points: Float[Tensor, "point 3"]) -> Float[Tensor, " point"]:
    """Return sigmoid((density - level) / softness): 0 to 1, and 0.5 at the official surface level."""
    return torch.sigmoid((field.density(points[None])[0, :, 0] - OFFICIAL_LEVEL) / _SOFTNESS)


def unseen_cameras(cameras: Sequence[Camera], least_angle_deg: float) -> list[Camera]:
    """Return twelve cameras around the head, on three pitches, without those near a given camera.

    Args:
        cameras: cameras of the photos, without batch dimension.
        least_angle_deg: smallest angle to all of them, in degrees.
    """
    # photo 3: unit vectors from the origin to the cameras; angles between views are angles between these.
    directions = torch.nn.functional.normalize(torch.stack([c.position.detach().cpu() for c in cameras]), dim=-1)
    found = []
    for i in range(_RING):
        camera = Camera.orbit(360 * i / _RING, _PITCHES_DEG[i % len(_PITCHES_DEG)])
        towards = torch.nn.functional.normalize(camera.position, dim=-1)
        angle = torch.rad2deg(torch.arccos((directions @ towards).clamp(-1, 1)))
        if bool((angle >= least_angle_deg).all()):
            found.append(camera)
    return found
