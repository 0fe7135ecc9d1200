"""One rendered view of one head: images, cut-outs, other backgrounds."""

from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from panohead.errors import PanoHeadError
from panohead.geometry import Camera
from panohead.media.cutout import foreground_colors
from panohead.media.images import from_uint8, to_pil, to_rgba

Color = tuple[int, int, int]


@dataclass(frozen=True)
class Frame:
    """One rendered view.

    Attributes:
        image: super-resolved image, about [-1, 1].
        image_raw: image at neural rendering resolution, before super-resolution, about [-1, 1].
        depth: distance along the unit ray in world units, at neural rendering resolution.
        mask: foreground weight, about [0, 1], at neural rendering resolution.
        camera: camera of the view, without batch dimension.
    """

    image: Float[Tensor, "3 height width"]
    image_raw: Float[Tensor, "3 raw_height raw_width"]
    depth: Float[Tensor, "1 raw_height raw_width"]
    mask: Float[Tensor, "1 raw_height raw_width"]
    camera: Camera

    def alpha(self) -> Float[Tensor, "1 height width"]:
        """Return the mask at the image's size, in [0, 1]."""
        size = (self.image.shape[-2], self.image.shape[-1])
        enlarged = F.interpolate(self.mask[None], size, mode="bicubic", align_corners=False, antialias=False)
        return enlarged[0].clamp(0, 1)

    def to_pil(self, *, transparent: bool = False) -> Image.Image:
        """Return the image as RGB, or as RGBA (straight alpha) with everything but the head transparent."""
        if transparent:
            alpha = self.alpha()
            return Image.fromarray(to_rgba(foreground_colors(self.image, alpha), alpha))
        return to_pil(self.image)

    def on(self, background: "Color | Image.Image") -> "Frame":
        """Return the view on a plain color (0..255) or a photo, which is scaled and cropped to fill the image.

        Raises:
            PanoHeadError: when the photo is empty.
        """
        height, width = self.image.shape[-2:]
        backdrop = _backdrop(background, width, height).to(self.image.device)
        alpha = self.alpha()
        return replace(self, image=torch.lerp(backdrop, foreground_colors(self.image, alpha), alpha))


def _backdrop(background: "Color | Image.Image", width: int, height: int) -> Float[Tensor, "3 height width"]:
    if not isinstance(background, Image.Image):
        color = torch.tensor(background, dtype=torch.float32) / 127.5 - 1
        return color[:, None, None].expand(3, height, width)
    image = background.convert("RGB")
    if min(image.size) < 1:
        raise PanoHeadError("the background image is empty; give another")
    # The smallest scale that fills the view; then the center is cut out.
    scale = max(width / image.width, height / image.height)
    size = (max(width, round(image.width * scale)), max(height, round(image.height * scale)))
    left, top = (size[0] - width) // 2, (size[1] - height) // 2
    # Only the part that is used: a strip of 1 x 100,000 pixels, scaled as a whole, would take gigabytes.
    across, down = image.width / size[0], image.height / size[1]
    part = (left * across, top * down, (left + width) * across, (top + height) * down)
    return from_uint8(np.asarray(image.resize((width, height), Image.Resampling.LANCZOS, box=part)))
