"""One photo as the optimisation sees it: an aligned crop at the generator's size, its camera, and its mask if known."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor

from panohead.data.align_tools import AlignmentTools
from panohead.data.alignment import align
from panohead.data.prepare_photo import read_photo
from panohead.errors import PanoHeadError
from panohead.geometry import Camera
from panohead.media.images import from_uint8

CameraKind = Literal["given", "face", "coarse"]
SMALLEST_SIDE = 48
"""Pixels; a head cannot be read from less."""
MOST_PHOTOS = 8


@dataclass(frozen=True)
class Photo:
    """Attributes:
    name: for people.
    image: [-1, 1], square, at the generator's size.
    mask: the head's share of every pixel; None if unknown.
    camera: without batch dimension.
    kind: how far the camera can be trusted.
    remarks: what should be known about it, in sentences.
    """

    name: str
    image: Float[Tensor, "3 height width"]
    mask: Float[Tensor, "1 height width"] | None
    camera: Camera
    kind: CameraKind
    remarks: tuple[str, ...] = ()


def aligned_photo(
    pixels: UInt8[np.ndarray, "height width 3"],
    camera: Camera,
    size: int,
    *,
    mask: UInt8[np.ndarray, "mask_height mask_width"] | None = None,
    name: str = "photo",
    kind: CameraKind = "given",
) -> Photo:
    """A crop that is already in the official frame: its square middle, Lanczos to ``size`` (facts section 7).

    Raises:
        PanoHeadError: for a picture that is too small or uniform.
    """
    if min(pixels.shape[:2]) < SMALLEST_SIDE:
        raise PanoHeadError(
            f"{name} has {pixels.shape[1]} x {pixels.shape[0]} pixels; a head needs at least {SMALLEST_SIDE}, give a "
            "larger photo"
        )
    remarks = []
    if np.ptp(pixels) == 0:
        raise PanoHeadError(f"{name} is of one colour; give a photo of a head")
    if (pixels[..., 0] == pixels[..., 1]).all() and (pixels[..., 0] == pixels[..., 2]).all():
        remarks.append("The photo is grey; so will be what it shows.")
    image = from_uint8(np.asarray(square(pixels, size)))
    alpha = None
    if mask is not None:
        alpha = torch.from_numpy(np.asarray(square(mask, size)).astype(np.float32) / 255)[None]
    return Photo(name, image, alpha, camera, kind, tuple(remarks))


def square(pixels: UInt8[np.ndarray, "height width *channel"], size: int) -> Image.Image:
    """The square middle at ``size`` pixels."""
    height, width = pixels.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    middle = Image.fromarray(np.ascontiguousarray(pixels[top : top + side, left : left + side]))
    return middle.resize((size, size), Image.Resampling.LANCZOS)


def found_photo(
    pixels: UInt8[np.ndarray, "height width 3"], size: int, tools: AlignmentTools, *, name: str = "photo"
) -> Photo:
    """Find the head of an ordinary photo, crop it, estimate its camera and mask it.

    Raises:
        PanoHeadError: when no head is found, or the finders are not installed.
    """
    if min(pixels.shape[:2]) < SMALLEST_SIDE:
        raise PanoHeadError(
            f"{name} has {pixels.shape[1]} x {pixels.shape[0]} pixels; a head needs at least {SMALLEST_SIDE}, give a "
            "larger photo"
        )
    alignment = align(pixels, tools)
    if alignment is None:
        raise PanoHeadError(
            f"no head was found in {name}; give a photo that shows one, or an aligned crop with --aligned --labels"
        )
    share = np.repeat(np.rint(tools.masker.mask(pixels) * 255).astype(np.uint8)[..., None], 3, axis=2)
    photo = aligned_photo(
        alignment.cut(pixels), alignment.camera, size, mask=alignment.cut(share)[..., 0], name=name, kind=alignment.kind
    )
    remarks = photo.remarks
    if alignment.kind == "coarse":
        remarks += (f"The camera is a guess ({alignment.method}); the result is a best effort.",)
    return replace(photo, remarks=remarks)


Picture = str | Path | Image.Image | UInt8[np.ndarray, "height width 3"]
MaskPicture = str | Path | Image.Image | UInt8[np.ndarray, "height width"]


def read_pictures(
    pictures: Sequence[Picture],
    cameras: Sequence[Camera] | None,
    size: int,
    *,
    masks: Sequence[MaskPicture | None] | None = None,
    tools: AlignmentTools | None = None,
) -> list[Photo]:
    """Photos of one person. With ``cameras`` they are crops in the official frame; without, heads are looked for.

    Raises:
        PanoHeadError: for anything that cannot be a photo of a head, naming it.
    """
    if not 1 <= len(pictures) <= MOST_PHOTOS:
        raise PanoHeadError(f"{len(pictures)} photos were given; give 1 to {MOST_PHOTOS} of one person")
    for what, given in (("cameras", cameras), ("masks", masks)):
        if given is not None and len(given) != len(pictures):
            raise PanoHeadError(f"{len(pictures)} photos and {len(given)} {what} were given; give one for each")
    names = [Path(p).name if isinstance(p, str | Path) else f"photo {i + 1}" for i, p in enumerate(pictures)]
    if cameras is None:
        tools = AlignmentTools() if tools is None else tools
        return [found_photo(_pixels(p, n), size, tools, name=n) for p, n in zip(pictures, names, strict=True)]
    found_masks = [None] * len(pictures) if masks is None else [None if m is None else _mask(m) for m in masks]
    return [
        aligned_photo(_pixels(p, n), _single(c), size, mask=m, name=n)
        for p, c, m, n in zip(pictures, cameras, found_masks, names, strict=True)
    ]


def _single(camera: Camera) -> Camera:
    return Camera(camera.cam2world.reshape(4, 4).float(), camera.intrinsics.reshape(3, 3).float())


def _pixels(picture: Picture, name: str) -> UInt8[np.ndarray, "height width 3"]:
    if isinstance(picture, np.ndarray):
        return picture
    if isinstance(picture, Image.Image):
        return np.array(picture.convert("RGB"))
    try:
        return read_photo(Path(picture).read_bytes()).pixels
    except OSError as error:
        raise PanoHeadError(f"{picture} cannot be read ({error.strerror}); check the path") from error
    except PanoHeadError as error:
        raise PanoHeadError(f"{name} is no usable photo: {error}") from error


def _mask(mask: MaskPicture) -> UInt8[np.ndarray, "height width"]:
    if isinstance(mask, np.ndarray):
        return mask
    if isinstance(mask, Image.Image):
        return np.array(mask.convert("L"))
    try:
        with Image.open(mask) as picture:
            return np.array(picture.convert("L"))
    except OSError as error:
        raise PanoHeadError(f"the mask {mask} is not a readable picture; check it") from error
