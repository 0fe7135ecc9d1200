"""One photo as the optimisation sees it: an aligned crop at the generator's size, its camera, and its mask if known."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image, ImageOps
from torch import Tensor

from panohead.data.align_tools import AlignmentTools
from panohead.data.alignment import Alignment, align_all
from panohead.data.prepare_one import measure
from panohead.data.prepare_overlay import overlay
from panohead.data.prepare_photo import read_photo, to_rgb
from panohead.data.quality import QualityGates, gate
from panohead.errors import PanoHeadError
from panohead.geometry import Camera
from panohead.inversion.hush import hushed
from panohead.media.images import from_uint8

CameraKind = Literal["given", "face", "coarse"]
SMALLEST_SIDE = 48
"""Pixels; a head cannot be read from less."""
MOST_PHOTOS = 8
_GATES = QualityGates(min_confidence=0.0)
"""What a training set would leave out is only remarked on here; coarse cameras have a remark of their own."""


@dataclass(frozen=True)
class Photo:
    """Attributes:
    name: for people.
    image: [-1, 1], square, at the generator's size.
    mask: the head's share of every pixel; None if unknown.
    camera: without batch dimension.
    kind: how far the camera can be trusted.
    remarks: what should be known about it, in sentences.
    found: how the head was found in an ordinary photo; None for crops.
    """

    name: str
    image: Float[Tensor, "3 height width"]
    mask: Float[Tensor, "1 height width"] | None
    camera: Camera
    kind: CameraKind
    remarks: tuple[str, ...] = ()
    found: "Finding | None" = None


@dataclass(frozen=True)
class Finding:
    """How the head was found.

    Attributes:
        overlay: the photo, small, with crop box, axes and mask.
        method: what the camera came from, in a word or two.
        confidence: 0 to 1; comparable within one kind of camera.
    """

    overlay: Image.Image
    method: str
    confidence: float


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
    remarks = []
    _refuse_small(pixels, name)
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
    _refuse_small(pixels, name)
    with hushed():
        heads = align_all(pixels, tools)
    if not heads:
        raise PanoHeadError(
            f"no head was found in {name}; give a photo that shows one, or an aligned crop with --aligned --labels"
        )
    alignment = heads[0]
    frame = alignment.cut(pixels)
    # Looked for in the frame, not in the photo: networks for masks see a small picture of what they are given.
    with hushed():
        mask = tools.masker.mask(frame)
    grey = np.rint(mask * 255).astype(np.uint8)
    photo = aligned_photo(frame, alignment.camera, size, mask=grey, name=name, kind=alignment.kind)
    finding = Finding(overlay(pixels, alignment, mask, accepted=True), alignment.method, alignment.confidence)
    doubts = _doubts(len(heads), alignment, gate(alignment, measure(pixels, alignment, frame, mask), _GATES))
    return replace(photo, remarks=(*photo.remarks, *doubts), found=finding)


def _doubts(heads: int, alignment: Alignment, reason: str) -> list[str]:
    doubts = []
    if heads > 1:
        doubts.append(f"{heads} heads were found; the most central one is taken.")
    if alignment.kind == "coarse":
        doubts.append(f"The camera is a guess ({alignment.method}); the result is a best effort.")
    if reason:
        doubts.append(f"The crop is doubtful ({reason}); the result is a best effort.")
    return doubts


def _refuse_small(pixels: UInt8[np.ndarray, "height width 3"], name: str) -> None:
    if min(pixels.shape[:2]) < SMALLEST_SIDE:
        raise PanoHeadError(
            f"{name} has {pixels.shape[1]} x {pixels.shape[0]} pixels; a head needs at least {SMALLEST_SIDE}, give a "
            "larger photo"
        )


Picture = str | Path | Image.Image | np.ndarray
"""Arrays are "height width 3", uint8."""
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
    tools = AlignmentTools() if tools is None and cameras is None else tools
    photos: list[Photo] = []
    for i, (picture, name) in enumerate(zip(pictures, names, strict=True)):
        # One at a time: eight photos of a camera are a gigabyte.
        pixels, done = _pixels(picture, name)
        if cameras is None:
            assert tools is not None
            photo = found_photo(pixels, size, tools, name=name)
        else:
            of_crop = None if masks is None else masks[i]
            mask = None if of_crop is None else _mask(of_crop)
            photo = aligned_photo(pixels, _single(cameras[i]), size, mask=mask, name=name)
        same = [f"The same picture as {p.name}; it shows nothing new." for p in photos if _equal(p, photo)]
        photos.append(replace(photo, remarks=(*done, *photo.remarks, *same[:1])))
    return photos


def _equal(a: Photo, b: Photo) -> bool:
    return torch.equal(a.image, b.image)


def _single(camera: Camera) -> Camera:
    return Camera(camera.cam2world.reshape(4, 4).float(), camera.intrinsics.reshape(3, 3).float())


def _pixels(picture: Picture, name: str) -> tuple[UInt8[np.ndarray, "height width 3"], tuple[str, ...]]:
    """Upright RGB, and what was done for that."""
    if isinstance(picture, np.ndarray):
        if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
            shape = " x ".join(map(str, picture.shape))
            raise PanoHeadError(f"{name} is an array of {picture.dtype}, {shape}; give height x width x 3 of uint8")
        return picture, ()
    if isinstance(picture, Image.Image):
        return np.array(to_rgb(ImageOps.exif_transpose(picture))), ()
    try:
        photo = read_photo(Path(picture).read_bytes())
    except OSError as error:
        raise PanoHeadError(f"{picture} cannot be read ({error.strerror}); check the path") from error
    except PanoHeadError as error:
        raise PanoHeadError(f"{name} is no usable photo: {error}") from error
    return photo.pixels, tuple(f"Of the file: {remark}." for remark in photo.remarks)


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
