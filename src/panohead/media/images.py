"""Images at the border of the package: float tensors in, files out, each marked as synthetic (see provenance).

Inside, images are float in [-1, 1], masks in [0, 1], depths distances along unit rays in world units.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor

from panohead.errors import PanoHeadError
from panohead.files.image import BrokenImage, decode_image
from panohead.files.regular import path_of
from panohead.limits import QUALITY
from panohead.media.provenance import COMPOSITE, GENERATED, SourceType, image_metadata
from panohead.media.watermark import add_watermark, is_enabled
from panohead.ops.pixels import image_from_uint8, image_to_uint8
from panohead.system.atomic_write import atomic_path

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
DEPTH_SCALE = 1e-4
"""World units per step of a 16-bit depth image: 0 to 6.5535; the camera is at 2.7, official rays end at 3.3."""

# Nine even samples of matplotlib's viridis (CC0): dark blue is near, yellow far.
_VIRIDIS = np.array(
    [
        [68, 1, 84],
        [71, 44, 122],
        [59, 81, 139],
        [44, 113, 142],
        [33, 144, 141],
        [39, 173, 129],
        [92, 200, 99],
        [170, 220, 50],
        [253, 231, 37],
    ],
    dtype=np.float64,
)


def to_uint8(image: Float[Tensor, "channel height width"]) -> UInt8[np.ndarray, "height width channel"]:
    """Return an image in [-1, 1] as pixels 0..255 (:func:`image_to_uint8`): the exact inverse of ``from_uint8``.

    Raises:
        PanoHeadError: when a value is not finite; as pixels it would look like a color.
    """
    if not bool(image.detach().isfinite().all()):
        raise PanoHeadError("an image holds values that are not finite; the weights or the latents are out of range")
    return np.ascontiguousarray(image_to_uint8(image).permute(1, 2, 0).cpu().numpy())


def from_uint8(pixels: UInt8[np.ndarray, "height width channel"]) -> Float[Tensor, "channel height width"]:
    """Return pixels 0..255 as an image in [-1, 1] (:func:`image_from_uint8`)."""
    return image_from_uint8(torch.from_numpy(pixels.copy())).permute(2, 0, 1).contiguous()


def to_pil(image: Float[Tensor, "3 height width"]) -> Image.Image:
    """Return an image of [-1, 1] as an RGB PIL image."""
    return Image.fromarray(to_uint8(image))


def mask_to_pil(mask: Float[Tensor, "1 height width"]) -> Image.Image:
    """Return a mask of [0, 1] (slightly outside is clamped) as an 8-bit gray PIL image, rounded."""
    return Image.fromarray((mask[0].detach().float().clamp(0, 1) * 255).round().to(torch.uint8).cpu().numpy())


def to_rgba(
    image: Float[Tensor, "3 height width"], mask: Float[Tensor, "1 mask_height mask_width"]
) -> UInt8[np.ndarray, "height width 4"]:
    """Return a cut-out with straight (not premultiplied) alpha.

    Args:
        image: [-1, 1]; its colors stay as they are, so where alpha is partial they still hold some background.
        mask: [0, 1], becomes alpha; a coarser one is enlarged bilinearly.
    """
    if mask.shape[1:] != image.shape[1:]:
        size = (image.shape[1], image.shape[2])
        mask = torch.nn.functional.interpolate(mask[None].float(), size, mode="bilinear", align_corners=False)[0]
    return np.dstack([to_uint8(image), np.asarray(mask_to_pil(mask))])


def depth_to_pil(
    depth: Float[Tensor, "1 height width"], mask: Float[Tensor, "1 height width"] | None = None
) -> Image.Image:
    """Return a depth map as a 16-bit PIL image: steps of DEPTH_SCALE world units, 0 for not finite or mask < 0.5.

    Raises:
        PanoHeadError: when a depth is too large for 16 bits.
    """
    steps = _visible(depth, mask) / DEPTH_SCALE
    if np.nanmax(steps, initial=0) > 65535:
        raise PanoHeadError(f"depth over {65535 * DEPTH_SCALE} world units does not fit 16 bits; clamp it first")
    return Image.fromarray(np.nan_to_num(np.rint(steps), nan=0).astype(np.uint16))


def _visible(
    depth: Float[Tensor, "1 height width"], mask: Float[Tensor, "1 height width"] | None
) -> Float[np.ndarray, "height width"]:
    """Return the depth, with NaN where there is nothing to see."""
    values = depth[0].detach().double().cpu().numpy()
    valid = np.isfinite(values)
    if mask is not None:
        valid &= mask[0].detach().cpu().numpy() >= 0.5
    return np.where(valid, values, np.nan)


def depth_preview(
    depth: Float[Tensor, "1 height width"],
    mask: Float[Tensor, "1 height width"] | None = None,
    *,
    near: float | None = None,
    far: float | None = None,
) -> Image.Image:
    """Return a depth map in colors for people: near is dark blue, far yellow, nothing white.

    Args:
        depth: world units along the ray.
        mask: foreground; below 0.5 there is nothing.
        near: depth of dark blue in world units; None takes the smallest visible one. A video needs fixed ends, else it
            flickers.
        far: depth of yellow, likewise.
    """
    values = _visible(depth, mask)
    valid = ~np.isnan(values)
    near = near if near is not None else float(np.nanmin(values, initial=np.inf)) if valid.any() else 0.0
    far = far if far is not None else float(np.nanmax(values, initial=-np.inf)) if valid.any() else 1.0
    position = np.nan_to_num((values - near) / max(far - near, 1e-9)).clip(0, 1) * (len(_VIRIDIS) - 1)
    anchors = np.arange(len(_VIRIDIS))
    colors = np.stack([np.interp(position, anchors, _VIRIDIS[:, k]) for k in range(3)], axis=-1)
    return Image.fromarray(np.where(valid[..., None], np.rint(colors), 255).astype(np.uint8))


def load_depth(path: str | Path) -> Float[Tensor, "1 height width"]:
    """Read a depth image written by :func:`save_depth`: world units, +inf where there is no depth.

    Raises:
        PanoHeadError: when it cannot be read or is no such image.
    """
    try:
        image = decode_image(Path(path), colors=False).image
        scale = float(image.info.get("DepthScale", DEPTH_SCALE))
    except (OSError, ValueError, BrokenImage) as error:
        reason = getattr(error, "strerror", None) or error
        raise PanoHeadError(f"cannot read {path} as a depth image ({reason}); give one of save_depth") from error
    if image.mode not in ("I;16", "I"):
        raise PanoHeadError(f"{path} is no depth image (Pillow mode {image.mode}); give one of save_depth")
    steps = np.asarray(image).astype(np.float32)
    return torch.from_numpy(np.where(steps > 0, steps * np.float32(scale), np.float32(np.inf)))[None]


def save_depth(
    depth: Float[Tensor, "1 height width"], path: str | Path, *, mask: Float[Tensor, "1 height width"] | None = None
) -> Path:
    """Write a depth map as 16-bit PNG; the scale stands in its text chunks.

    Raises:
        PanoHeadError: when the name does not end in .png, a depth is too large, or the file cannot be written.
    """
    if Path(path).suffix.lower() != ".png":
        raise PanoHeadError(f"{path}: depth needs 16 bits a pixel; use a name ending in .png")
    texts = {"DepthScale": repr(DEPTH_SCALE), "DepthUnit": "world units along the ray; 0 = nothing"}
    return save_image(depth_to_pil(depth, mask), path, texts=texts)


def _check_shape(image: Tensor | np.ndarray) -> None:
    channels = (
        image.ndim == 3 and image.shape[0] == 3 if isinstance(image, Tensor) else image.shape[2:] in ((), (3,), (4,))
    )
    if image.ndim not in (2, 3) or 0 in image.shape or not channels:
        shape = " x ".join(map(str, image.shape))
        raise PanoHeadError(
            f"{shape} numbers are no image; give a tensor of 3 x height x width, or uint8 pixels of height x width x 3"
        )


def save_image(
    image: Image.Image | Float[Tensor, "3 height width"] | UInt8[np.ndarray, "height width channel"],
    path: str | Path,
    *,
    source: SourceType | None = GENERATED,
    quality: int = 95,
    texts: dict[str, str] | None = None,
) -> Path:
    """Write an image, atomically, in the format of the suffix (.png .jpg .jpeg .webp), marked as synthetic.

    Args:
        image: a float tensor in [-1, 1], uint8 pixels (3 or 4 channels) or a PIL image.
        path: file to write.
        source: IPTC term; None for photographs, which are left unmarked.
        quality: quality of JPEG and WebP, 0 to 100.
        texts: further PNG text chunks.

    Raises:
        UsageError: for what is no path, or a quality out of range.
        PanoHeadError: when the suffix is unknown, the shape is not an image's, a JPEG would be transparent, or the
            folder cannot be written.
    """
    quality = QUALITY.whole(quality, "quality")
    path = path_of(path)
    suffix = path.suffix.lower()
    if suffix not in IMAGE_SUFFIXES:
        raise PanoHeadError(f"{path}: cannot write images of type '{suffix}'; use one of {', '.join(IMAGE_SUFFIXES)}")
    if isinstance(image, Tensor | np.ndarray):
        _check_shape(image)
    if isinstance(image, Tensor):
        image = to_pil(image)
    elif isinstance(image, np.ndarray):
        image = Image.fromarray(image)
    if suffix in (".jpg", ".jpeg") and "A" in image.getbands():
        raise PanoHeadError(f"{path}: JPEG has no transparency; use .png or .webp")
    if source in (GENERATED, COMPOSITE) and is_enabled() and image.mode in ("RGB", "RGBA"):
        image = Image.fromarray(add_watermark(np.asarray(image)))
    options: dict[str, Any] = {} if suffix == ".png" else {"quality": quality}
    with atomic_path(path) as temporary:
        image.save(temporary, **options, **image_metadata(suffix, source, texts))
    return path
