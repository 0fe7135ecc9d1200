"""One rendered view of one head: images, cut-outs, other backgrounds."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from panohead.errors import PanoHeadError, UsageError
from panohead.geometry import Camera
from panohead.limits import COLOR_LEVEL
from panohead.media.cutout import foreground_colors, refined_alpha
from panohead.media.images import from_uint8, save_image, to_pil, to_rgba
from panohead.media.marked_image import marked
from panohead.media.provenance import COMPOSITE, GENERATED, SourceType

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
        source: IPTC term of how the image was made, for its mark.
    """

    image: Float[Tensor, "3 height width"]
    image_raw: Float[Tensor, "3 raw_height raw_width"]
    depth: Float[Tensor, "1 raw_height raw_width"]
    mask: Float[Tensor, "1 raw_height raw_width"]
    camera: Camera
    source: SourceType = GENERATED

    def alpha(self) -> Float[Tensor, "1 height width"]:
        """Return the mask at the image's size, in [0, 1]."""
        size = (self.image.shape[-2], self.image.shape[-1])
        enlarged = F.interpolate(self.mask[None], size, mode="bicubic", align_corners=False, antialias=False)
        return enlarged[0].clamp(0, 1)

    def matte(self) -> Float[Tensor, "1 height width"]:
        """Return the mask for cutting the head out, in [0, 1]: :meth:`alpha` with the edges of the image."""
        texel = self.image.shape[-1] / self.mask.shape[-1]
        return refined_alpha(self.alpha().float(), self.image.float(), texel=texel)

    def to_pil(self, *, transparent: bool = False) -> Image.Image:
        """Return the image as RGB, or as RGBA (straight alpha) with everything but the head transparent.

        Its ``info`` and its ``save`` carry the mark that it is synthetic.
        """
        if transparent:
            alpha = self.matte()
            return marked(Image.fromarray(to_rgba(foreground_colors(self.image, alpha), alpha)), self.source)
        return marked(to_pil(self.image), self.source)

    def save(self, path: str | Path, *, transparent: bool = False, quality: int = 95) -> Path:
        """Write the image, marked as synthetic, in the format of the suffix: .png, .jpg, .jpeg or .webp.

        Args:
            path: file to write; missing folders are made.
            transparent: cut the head out (not for JPEG).
            quality: quality of JPEG and WebP, 0 to 100.

        Returns:
            The path.

        Raises:
            UsageError: for what is no path, or a quality out of range.
            PanoHeadError: when the suffix is unknown, a JPEG would be transparent, or the file cannot be written.
        """
        return save_image(self.to_pil(transparent=transparent), path, source=self.source, quality=quality)

    def on(self, background: "Color | Image.Image") -> "Frame":
        """Return the view on a plain color (0..255) or a photo, which is scaled and cropped to fill the image.

        Raises:
            UsageError: for what is neither, or a color outside 0 to 255.
            PanoHeadError: when the photo is empty.
        """
        height, width = self.image.shape[-2:]
        backdrop = _backdrop(background, width, height).to(self.image.device)
        alpha = self.matte()
        source = COMPOSITE if isinstance(background, Image.Image) else self.source
        return replace(self, image=torch.lerp(backdrop, foreground_colors(self.image, alpha), alpha), source=source)


def _backdrop(background: "Color | Image.Image", width: int, height: int) -> Float[Tensor, "3 height width"]:
    if not isinstance(background, Image.Image):
        if isinstance(background, str | bytes) or not isinstance(background, Sequence) or len(background) != 3:
            kind = type(background).__name__
            raise UsageError(f"a background of type {kind} is none; give three numbers of 0 to 255 or a Pillow image")
        levels = [COLOR_LEVEL.real(level, "a background's color") for level in background]
        color = torch.tensor(levels, dtype=torch.float32) / 127.5 - 1
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
