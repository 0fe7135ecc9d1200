"""The splats of one head: from its surface, its density and its renders."""

from collections.abc import Callable, Iterator
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from panohead.frame import Frame
from panohead.geometry import Camera
from panohead.mesh.head_surface import FRAME_BOTTOM, head_surface
from panohead.mesh.settings import MeshSettings
from panohead.mesh.vertex_colors import ColoringView
from panohead.models.generator import Generator
from panohead.splats.cloud import SplatCloud
from panohead.splats.refine import TargetView, refined
from panohead.splats.sample import sample_splats
from panohead.splats.settings import SplatSettings

_VIEWS = (
    [(15.0 * i, (0.0, -18.0, 18.0)[i % 3]) for i in range(24)]
    + [(30.0 * i + 7, (32.0, 0.0, -27.0)[i % 3]) for i in range(12)]
    + [(90.0 * i + 20, 50.0) for i in range(4)]
)
"""Yaw and pitch in degrees of the views that splats are refined against."""
_BELOW = 0.02
"""World units (8 mm) below the lower edge of the official frame down to which there are splats."""
_RESOLUTION = 160
"""Nodes per side of the grid of the surface: splats are a few millimeters wide."""


@runtime_checkable
class SplattableHead(Protocol):
    """A head as far as splats need it."""

    generator: Generator
    ws: Tensor

    def density(self, points: Float[Tensor, "point 3"]) -> Float[Tensor, " point"]:
        """Return raw density at points in world units."""

    def render(self, camera: Camera) -> Frame:
        """Render the head from one camera."""

    def coloring_views(self) -> Iterator[ColoringView]:
        """Render the views that paint meshes."""


def splats_of(
    head: SplattableHead,
    settings: SplatSettings,
    *,
    progress: Callable[[], None] = lambda: None,
) -> SplatCloud:
    """Return a head's splats in world units (arguments and errors as of :meth:`panohead.Head.splats`)."""
    config = head.generator.config
    surface = head_surface(
        head.density,
        MeshSettings(resolution=_RESOLUTION, level=settings.level, smooth=0, triangles=None, trim=False),
        box_warp=config.rendering.box_warp,
        crop=config.rendering.crop_margin,
        texel=config.texel,
        device=head.ws.device,
    )
    device = head.ws.device

    def density(points: Float[Tensor, "point 3"]) -> Float[Tensor, " point"]:
        return head.density(points.to(device)).cpu()

    # Below the images the density is arbitrary: a ragged edge, of which views from above show a little.
    bottom = FRAME_BOTTOM - _BELOW
    cloud = sample_splats(surface, density, list(head.coloring_views()), settings.count, bottom=bottom)
    if settings.steps == 0:
        return cloud
    targets = [target_view(head, Camera.orbit(yaw, pitch)) for yaw, pitch in _VIEWS[: settings.steps]]
    return refined(cloud, targets, settings.steps, progress=progress)


@torch.no_grad()
def target_view(head: SplattableHead, camera: Camera) -> TargetView:
    """Return a render of a head on white, with its alpha, as refinement and its measurements need it."""
    frame = head.render(camera)
    alpha = frame.matte().cpu().float()
    image = frame.on((255, 255, 255)).image.cpu().float()
    return TargetView((image * 0.5 + 0.5).clamp(0, 1), alpha, camera)
