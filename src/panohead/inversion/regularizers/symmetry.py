"""Mirrored photos: heads are nearly symmetric, so a photo says something about the side that it does not show."""

from collections.abc import Sequence
from dataclasses import replace

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from panohead.geometry import Camera
from panohead.head import Head
from panohead.inversion.photo import AlignedPhoto
from panohead.inversion.visibility import seen_pixels
from panohead.models.generator import Generator

MIN_SHARE = 0.005
"""Smallest share of a mirrored photo that must tell something; of a photo straight from the front nearly none does."""
_SAME = 0.35
"""Largest difference of colors in [-1, 1], averaged over small windows, between mirrored photo and untuned head. More
is no symmetric head (hair to one side, a hand, light from one side)."""
_WINDOW = 5  # rays
_OPAQUE = 0.5


def mirrored_camera(camera: Camera) -> Camera:
    """Return the camera on the other side of the plane x = 0 that sees the mirrored photo.

    Args:
        camera: camera without batch dimension.
    """
    intrinsics = camera.intrinsics.clone()
    intrinsics[0, 2] = 1 - intrinsics[0, 2]
    return replace(camera.mirrored(), intrinsics=intrinsics)


@torch.no_grad()
def mirrored_photos(
    generator: Generator,
    ws: Float[Tensor, "1 num_ws w_dim"],
    photos: Sequence[AlignedPhoto],
    cameras: Sequence[Camera],
) -> list[tuple[AlignedPhoto, Camera]]:
    """Return the mirrored photos that tell something, with their cameras.

    ``inside`` of such a photo is 1 where the untuned head has a surface that no photo shows, and the mirrored photo has
    nearly the same colors; elsewhere 0.

    Args:
        generator: untuned generator.
        ws: ws of the head.
        photos: photos of the person.
        cameras: their refined cameras, without batch dimension.
    """
    head = Head(generator, ws)
    views = [head.render(camera) for camera in cameras]
    found = []
    for photo, camera in zip(photos, cameras, strict=True):
        if photo.mask is None:
            continue  # it is not known which pixels are the head's
        mirrored = _flipped(photo)
        frame = head.render(mirrored_camera(camera))
        assert mirrored.mask is not None
        size = frame.depth.shape[-1]
        image, own = (F.adaptive_avg_pool2d(x.to(frame.depth), size) for x in (mirrored.image, frame.image))
        difference = F.avg_pool2d((image - own).abs().mean(dim=0, keepdim=True)[None], _WINDOW, 1, _WINDOW // 2)[0]
        shown = F.adaptive_avg_pool2d(mirrored.mask.to(frame.depth), size) > _OPAQUE
        if mirrored.inside is not None:
            shown &= F.adaptive_avg_pool2d(mirrored.inside.to(frame.depth), size) > _OPAQUE
        unseen = 1 - seen_pixels(frame, views, [photo.inside for photo in photos])
        told = (unseen > _OPAQUE) & (frame.mask > _OPAQUE) & shown & (difference < _SAME)
        if float(told.float().mean()) >= MIN_SHARE:
            inside = F.interpolate(told[None].float(), photo.image.shape[-1])[0]
            found.append((replace(mirrored, inside=inside.to(photo.image)), mirrored_camera(camera)))
    return found


def _flipped(photo: AlignedPhoto) -> AlignedPhoto:
    mask, inside = (None if x is None else x.flip(-1) for x in (photo.mask, photo.inside))
    return replace(photo, image=photo.image.flip(-1), mask=mask, inside=inside, notes=(), found=None)
