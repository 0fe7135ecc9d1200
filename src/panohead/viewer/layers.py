"""Layers of a view as images, on the background that the tab asks for, composed to the shape of its canvas."""

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from PIL import Image, ImageOps
from torch import Tensor

from panohead.frame import Frame
from panohead.geometry import RADIUS, rays_from_camera
from panohead.media import mask_to_pil
from panohead.media.cutout import foreground_colors
from panohead.media.images import depth_preview, to_pil, to_rgba
from panohead.viewer.choices import ViewChoice

_HALF_DEPTH = 0.42
"""Half of the range of depths that has colors, world units: a head and its hair, on a scale that never flickers."""
_CHECKER_LEVELS = (150, 105)
_CHECKERS = 24
_PLAIN = (235, 235, 235)
_MAX_PHOTO_PX = 1280
_SOFT_SHARE = 0.04
"""Width of the border in which the model's background fades into the color beside it, over the image's side."""


def layer_image(frame: Frame, layer: str) -> Image.Image:
    """Return one layer of a frame as a square RGB image; "mesh" has none here and shows the image."""
    if layer == "depth":
        return depth_preview(frame.depth, frame.mask, near=RADIUS - _HALF_DEPTH, far=RADIUS + _HALF_DEPTH)
    if layer == "mask":
        return mask_to_pil(frame.mask).convert("RGB")
    if layer == "normals":
        return normals_image(frame)
    return to_pil(frame.image)


def normals_image(frame: Frame) -> Image.Image:
    """Return normals in world axes as colors (x red, y green, z blue), on white where there is no head.

    They are the cross product of differences between neighboring points of the depth map, slightly smoothed.
    """
    side = frame.depth.shape[-1]
    camera = frame.camera.to("cpu")
    origins, directions = rays_from_camera(camera.expand(1), side)
    depth = frame.depth.detach().cpu().float().reshape(-1, 1)
    points = (origins[0] + directions[0] * depth.nan_to_num(RADIUS, RADIUS, RADIUS)).T.reshape(1, 3, side, side)
    points = F.avg_pool2d(F.pad(points, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
    across = _difference(points, 3)
    down = _difference(points, 2)
    normals = F.normalize(torch.linalg.cross(down, across, dim=1), dim=1)[0]
    mask = frame.mask.detach().cpu().clamp(0, 1)
    return to_pil(torch.lerp(torch.ones_like(normals), normals, mask))


def _difference(points: Float[Tensor, "1 3 height width"], dim: int) -> Float[Tensor, "1 3 height width"]:
    """Return central differences along one side, one-sided at the borders."""
    return torch.gradient(points, dim=dim)[0]


def checker(size: tuple[int, int]) -> Image.Image:
    """Return the pattern that stands for transparency, of a width and height in pixels."""
    width, height = size
    cell = max(2, min(size) // _CHECKERS)
    odd = (np.arange(height)[:, None] // cell + np.arange(width)[None] // cell) % 2
    levels = np.where(odd == 0, *_CHECKER_LEVELS).astype(np.uint8)
    return Image.fromarray(np.repeat(levels[..., None], 3, axis=2))


def compose(
    frame: Frame,
    view: ViewChoice,
    canvas: tuple[int, int],
    max_side: int,
    photo: Callable[[str], Image.Image | None] = lambda _: None,
) -> Image.Image:
    """Return a frame's layer as it fills a canvas: the square image in the middle, the background to its sides.

    Args:
        frame: what was rendered.
        view: layer and background.
        canvas: width and height of the canvas in pixels, of which the shape is kept.
        max_side: longer side of the result in pixels at most.
        photo: returns the background photo of a key.
    """
    size = scaled(canvas, max_side)
    side = min(size)
    corner = ((size[0] - side) // 2, (size[1] - side) // 2)
    if view.layer != "image" or view.backdrop == "generated":
        square = layer_image(frame, view.layer)
        filled = Image.new("RGB", size, border_color(square))
        soft = _soft_borders(side) if view.layer == "image" else None
        filled.paste(square.resize((side, side), Image.Resampling.BICUBIC), corner, soft)
        return filled
    filled = backdrop(view, size, photo)
    alpha = frame.matte()
    cut = Image.fromarray(to_rgba(foreground_colors(frame.image, alpha), alpha))
    cut = cut.resize((side, side), Image.Resampling.BICUBIC)
    filled.paste(cut, corner, cut)
    return filled


def _soft_borders(side: int) -> Image.Image:
    """Return a mask that fades a square into the color around it, but not below, where the neck or the clothes end."""
    width = max(1, round(_SOFT_SHARE * side))
    ramp = np.minimum(1, (np.arange(side) + 0.5) / width)
    across = np.minimum(ramp, ramp[::-1])
    return Image.fromarray((255 * np.minimum(ramp[:, None], across[None])).round().astype(np.uint8))


def scaled(canvas: tuple[int, int], max_side: int) -> tuple[int, int]:
    """Return a canvas's width and height in pixels, made smaller until the longer one is at most ``max_side``."""
    scale = min(1.0, max_side / max(canvas))
    return max(1, round(canvas[0] * scale)), max(1, round(canvas[1] * scale))


def backdrop(
    view: ViewChoice, size: tuple[int, int], photo: Callable[[str], Image.Image | None] = lambda _: None
) -> Image.Image:
    """Return what stands behind a cut-out or a mesh: gray, a checker, a color, or a photo (a checker for none)."""
    if view.backdrop == "generated":
        return Image.new("RGB", size, _PLAIN)
    image = photo(view.photo) if view.backdrop == "photo" else None
    if image is not None:
        return cover(image, size)
    return Image.new("RGB", size, tuple(view.color)) if view.backdrop == "color" else checker(size)


def cover(photo: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Return a photo scaled and cropped to fill a size."""
    return ImageOps.fit(photo, size, Image.Resampling.BILINEAR)


def small_photo(photo: Image.Image) -> Image.Image:
    """Return a background photo in the size in which it is kept."""
    small = photo.convert("RGB")
    small.thumbnail((_MAX_PHOTO_PX, _MAX_PHOTO_PX), Image.Resampling.LANCZOS)
    return small


def border_color(image: Image.Image) -> tuple[int, int, int]:
    """Return the median color near an image's left and right borders, which continues beside it."""
    pixels = np.asarray(image.convert("RGB"))
    width = max(4, round(_SOFT_SHARE * image.width))  # a bright line of one pixel is no majority
    near = np.concatenate([pixels[:, :width], pixels[:, -width:]], axis=1)
    red, green, blue = np.median(near.reshape(-1, 3), axis=0).astype(int).tolist()
    return red, green, blue
