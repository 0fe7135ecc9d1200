"""One photo as the optimisation sees it: an aligned crop at the generator's size, its camera, and its mask if known."""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor

from panohead.alignment.detectors import Detectors
from panohead.alignment.head_alignment import Alignment, align_all
from panohead.alignment.overlay import overlay
from panohead.alignment.photo_mask import cut_mask
from panohead.alignment.pose_file import GivenPose
from panohead.alignment.quality import QualityGates, gate, measure
from panohead.errors import PanoHeadError
from panohead.geometry import Camera
from panohead.media.images import from_uint8
from panohead.system.quiet_stderr import quiet_stderr

CameraKind = Literal["given", "face", "angles", "coarse"]
"""given: a label; face: fitted to landmarks; angles: the user's own, in an estimated crop; coarse: a guess."""
MIN_SIDE = 48
"""Pixels; a head cannot be read from less."""
_GATES = QualityGates(min_confidence=0.0)
"""What a training set would leave out is only remarked on here; coarse cameras have a remark of their own."""


@dataclass(frozen=True)
class AlignedPhoto:
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
    notes: tuple[str, ...] = ()
    found: "HeadDetection | None" = None


@dataclass(frozen=True)
class HeadDetection:
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
) -> AlignedPhoto:
    """A crop that is already in the official frame: its square middle, Lanczos to ``size`` (facts section 7).

    Raises:
        PanoHeadError: for a picture that is too small or uniform.
    """
    notes = []
    _refuse_small(pixels, name)
    if np.ptp(pixels) == 0:
        raise PanoHeadError(f"{name} is of one colour; give a photo of a head")
    if (pixels[..., 0] == pixels[..., 1]).all() and (pixels[..., 0] == pixels[..., 2]).all():
        notes.append("The photo is grey; so will be what it shows.")
    image = from_uint8(np.asarray(square(pixels, size)))
    alpha = None
    if mask is not None:
        alpha = torch.from_numpy(np.asarray(square(mask, size)).astype(np.float32) / 255)[None]
    return AlignedPhoto(name, image, alpha, camera, kind, tuple(notes))


def square(pixels: UInt8[np.ndarray, "height width *channel"], size: int) -> Image.Image:
    """The square middle at ``size`` pixels."""
    height, width = pixels.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    middle = Image.fromarray(np.ascontiguousarray(pixels[top : top + side, left : left + side]))
    return middle.resize((size, size), Image.Resampling.LANCZOS)


def found_photo(
    pixels: UInt8[np.ndarray, "height width 3"],
    size: int,
    tools: Detectors,
    *,
    given: GivenPose | None = None,
    mask: UInt8[np.ndarray, "mask_height mask_width"] | None = None,
    name: str = "photo",
) -> AlignedPhoto:
    """Find the head of an ordinary photo, crop it, estimate its camera (unless its pose is given) and mask it (unless
    the whole photo's mask is).

    Raises:
        PanoHeadError: when no head is found, or the finders are not installed.
    """
    _refuse_small(pixels, name)
    with quiet_stderr():
        heads = align_all(pixels, tools, given)
    if not heads:
        raise PanoHeadError(
            f"no head was found in {name}; give a photo that shows one, its angles and box with --poses, or an aligned "
            "crop with --aligned --labels"
        )
    alignment = heads[0]
    frame = alignment.cut(pixels)
    # Looked for in the frame, not in the photo: networks for masks see a small picture of what they are given.
    with quiet_stderr():
        soft = tools.masker.mask(frame) if mask is None else cut_mask(mask, pixels.shape, alignment)
    grey = np.rint(soft * 255).astype(np.uint8) if soft.max() >= 0.5 else None
    kind: CameraKind = "angles" if alignment.kind == "given" else alignment.kind
    photo = aligned_photo(frame, alignment.camera, size, mask=grey, name=name, kind=kind)
    detection = HeadDetection(overlay(pixels, alignment, soft, accepted=True), alignment.method, alignment.confidence)
    problems = _problems(len(heads), alignment, gate(alignment, measure(pixels, alignment, frame, soft), _GATES))
    if grey is None:
        problems.append("The mask holds no part of the head's frame; background and head are not told apart.")
    return replace(photo, notes=(*photo.notes, *problems), found=detection)


def _problems(heads: int, alignment: Alignment, reason: str) -> list[str]:
    problems = []
    if heads > 1:
        problems.append(f"{heads} heads were found; the most central one is taken.")
    if alignment.kind == "coarse":
        problems.append(f"The camera is a guess ({alignment.method}); the result is a best effort.")
    if reason:
        problems.append(f"The crop is doubtful ({reason}); the result is a best effort.")
    return problems


def _refuse_small(pixels: UInt8[np.ndarray, "height width 3"], name: str) -> None:
    if min(pixels.shape[:2]) < MIN_SIDE:
        raise PanoHeadError(
            f"{name} has {pixels.shape[1]} x {pixels.shape[0]} pixels; a head needs at least {MIN_SIDE}, give a "
            "larger photo"
        )
