"""Detail left out of a reconstruction where a photo shows the head: there the photo has its own."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from panohead.frame import Frame
from panohead.geometry import Camera, rays_from_camera
from panohead.head import Head
from panohead.inversion.photo import AlignedPhoto
from panohead.inversion.regularizers.unseen import unseen_cameras
from panohead.inversion.visibility import seen_points
from panohead.models.detail_map import volume_of_points, with_detail_map
from panohead.models.generator import Generator
from panohead.rendering.deformation import canonical_points

_SIDE = 32
"""Texels per side of the map: about two per hundredth of a head's height."""

_NOT_SEEN, _WELL_SEEN = 0.15, 0.45
"""Cosine between surface and ray of the photo up to which its pixels say nothing of single strands, and from which
they say everything."""

_STEP = 0.04  # world units between neighboring rays' surfaces from which they are not of one surface


@torch.no_grad()
def without_detail_where_seen(
    generator: Generator,
    ws: Float[Tensor, "1 num_ws w_dim"],
    photos: Sequence[AlignedPhoto],
    cameras: Sequence[Camera],
) -> Generator:
    """Return a copy of a generator with :class:`SurfaceDetail` that adds none to the parts of a head that photos show.

    Args:
        generator: generator in eval mode; one without detail, or with such a map already, is returned as it is.
        ws: ws of the head.
        photos: the photos.
        cameras: their cameras, without batch dimension.
    """
    if generator.surface_detail is None or generator.config.detail_map:
        return generator
    head = Head(generator, ws)
    views = [head.render(camera) for camera in cameras]
    inside = [photo.inside for photo in photos]
    points, seen = [], []
    for frame in (*views, *(head.render(camera.to(ws.device)) for camera in unseen_cameras(cameras, 0.0))):
        places, normals = _surface(frame)
        points.append(places)
        seen.append(seen_points(places, views, normals, inside))
    share = ((torch.cat(seen) - _NOT_SEEN) / (_WELL_SEEN - _NOT_SEEN)).clamp(0, 1)
    share = share.square() * (3 - 2 * share)  # smooth step
    places, box_warp = torch.cat(points), generator.config.rendering.box_warp
    if generator.deformation is not None:
        places = canonical_points(places[None], generator.deformation(ws[:, 0]), box_warp)[0]
    mapped = with_detail_map(generator, _SIDE)
    assert mapped.surface_detail is not None
    assert mapped.surface_detail.left_out is not None
    mapped.surface_detail.left_out.copy_(volume_of_points(places, share, side=_SIDE, box_warp=box_warp))
    return mapped


def _surface(frame: Frame) -> tuple[Float[Tensor, "point 3"], Float[Tensor, "point 3"]]:
    """Return the visible surface of a view with its unit normals, without outlines."""
    size = frame.depth.shape[-1]
    camera = frame.camera.expand(1).to(frame.depth.device)
    origins, directions = rays_from_camera(camera, size)
    depth = torch.nan_to_num(frame.depth, nan=0.0, posinf=0.0).view(-1, 1)
    points = (origins[0] + directions[0] * depth).view(size, size, 3)
    beside, below = points[:-1, 1:] - points[:-1, :-1], points[1:, :-1] - points[:-1, :-1]
    normals = torch.linalg.cross(beside, below)
    rays = points[:-1, :-1] - origins[0, 0]
    normals = normals * -(normals * rays).sum(dim=2, keepdim=True).sign()  # toward the camera
    normals = normals / normals.norm(dim=2, keepdim=True).clamp_min(1e-12)
    opaque = frame.mask[0] > 0.5
    whole = opaque[:-1, :-1] & opaque[1:, :-1] & opaque[:-1, 1:]
    whole &= (beside.norm(dim=2) < _STEP) & (below.norm(dim=2) < _STEP)
    return points[:-1, :-1][whole], normals[whole]
