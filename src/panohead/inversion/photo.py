"""Photos as targets of the optimization: aligned crop at the generator's size, camera, and mask if there is one."""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor

from panohead.alignment.cut_head import CutHead, cut_head
from panohead.alignment.detectors import Detectors
from panohead.alignment.face_landmarks import parts
from panohead.alignment.head_alignment import Alignment, align_all
from panohead.alignment.head_choice import MIN_CONFIDENCE, note_on_choice, note_on_turn
from panohead.alignment.overlay import overlay
from panohead.alignment.photo_area import PhotoCorners, inside_photo
from panohead.alignment.pose_file import GivenPose
from panohead.alignment.quality import QualityGates, gate, measure, why_nothing_is_found
from panohead.errors import PanoHeadError
from panohead.geometry import Camera
from panohead.media.images import from_uint8
from panohead.system.quiet_stderr import quiet_stderr

CameraKind = Literal["given", "face", "angles", "coarse"]
"""Source of a camera: a label ("given"), landmarks ("face"), the user's angles in an estimated crop, or a guess."""
MIN_SIDE = 48
"""Smallest side of a photo in pixels."""
_GATES = QualityGates(min_confidence=0.0, max_roll_deg=180.0)
"""Gates of a training set; here they only add notes. Coarse cameras and turned photos have notes of their own."""


@dataclass(frozen=True)
class AlignedPhoto:
    """Aligned crop of a photo, with camera and mask.

    Attributes:
        name: file name or number, for messages.
        image: square crop in [-1, 1] at the generator's size.
        mask: share of the head in every pixel, 0 to 1; None if unknown.
        camera: camera without batch dimension.
        kind: source of the camera.
        notes: sentences for the user about the photo.
        found: detection of the head in an ordinary photo; None for crops.
        inside: share of every pixel that lies in the photo, 0 to 1: what is beyond is filled in and is no evidence.
            None where the photo covers the whole crop.
    """

    name: str
    image: Float[Tensor, "3 height width"]
    mask: Float[Tensor, "1 height width"] | None
    camera: Camera
    kind: CameraKind
    notes: tuple[str, ...] = ()
    found: "HeadDetection | None" = None
    inside: Float[Tensor, "1 height width"] | None = None


@dataclass(frozen=True)
class HeadDetection:
    """Detection of a head in an ordinary photo.

    Attributes:
        overlay: the photo, small, with crop box, axes and mask.
        method: source of the camera, in a word or two.
        confidence: confidence from 0 to 1; comparable within one kind of camera.
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
    corners: PhotoCorners | None = None,
) -> AlignedPhoto:
    """Take a crop that is in the official frame already: its central square, resized to ``size`` by Lanczos
    (docs/reference.md 7.5).

    Args:
        pixels: RGB crop.
        camera: camera without batch dimension.
        size: side of the result in pixels.
        mask: mask of the crop at any size, 255 for the head.
        name: name for messages.
        kind: source of the camera.
        corners: rectangle of the photo in a square crop that goes beyond it; None where all of the crop is photo.

    Raises:
        PanoHeadError: for an image that is too small or uniform.
    """
    notes = []
    _refuse_small(pixels, name)
    if np.ptp(pixels) == 0:
        raise PanoHeadError(f"{name} is of one color; give a photo of a head")
    if (pixels[..., 0] == pixels[..., 1]).all() and (pixels[..., 0] == pixels[..., 2]).all():
        notes.append("The photo is gray, so the head will be gray where it shows it.")
    image = from_uint8(np.asarray(square(pixels, size)))
    alpha = None
    if mask is not None:
        alpha = torch.from_numpy(np.asarray(square(mask, size)).astype(np.float32) / 255)[None]
    inside = None
    if corners is not None and (share := inside_photo(corners, size)).min() < 1:
        inside = torch.from_numpy(share.astype(np.float32))[None]
        if alpha is not None:
            alpha = alpha * inside
    return AlignedPhoto(name, image, alpha, camera, kind, tuple(notes), inside=inside)


def square(pixels: UInt8[np.ndarray, "height width *channel"], size: int) -> Image.Image:
    """Return the central square at ``size`` pixels a side."""
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
    head: int | None = None,
    mask: UInt8[np.ndarray, "mask_height mask_width"] | None = None,
    name: str = "photo",
) -> AlignedPhoto:
    """Detect the head in an ordinary photo, crop it, and estimate its camera and mask (PanoHead 3.4, first stage).

    Args:
        pixels: RGB photo.
        size: side of the result in pixels.
        tools: detectors.
        given: the user's angles or box; None to estimate both.
        head: number of the head to take of several, from 1, the most prominent first; None for the first.
        mask: the user's mask of the whole photo at any size, 255 for the person; None to estimate it.
        name: name for messages.

    Raises:
        PanoHeadError: when no head is found (an outline alone is none), there is no head of that number, or the
            detectors are not installed.
    """
    _refuse_small(pixels, name)
    with quiet_stderr():
        heads = align_all(pixels, tools, given)
    alignment = _chosen(heads, head, name, pixels)
    with quiet_stderr():
        cut = cut_head(pixels, alignment, tools.masker, mask)
    hard = np.rint(cut.mask * 255).astype(np.uint8) if cut.mask.max() >= 0.5 else None
    kind: CameraKind = "angles" if alignment.kind == "given" else alignment.kind
    photo = aligned_photo(
        cut.frame,
        alignment.camera,
        size,
        mask=hard,
        name=name,
        kind=kind,
        corners=None if cut.is_whole else cut.corners,
    )
    detection = HeadDetection(
        overlay(pixels, alignment, cut.mask, accepted=True, heads=heads), alignment.method, alignment.confidence
    )
    problems = [note_on_choice(heads, (head or 1), pixels.shape), note_on_turn(alignment), *_problems(alignment, cut)]
    if hard is None:
        problems.append("The mask is empty in the head's frame; background and head are not told apart.")
    return replace(photo, notes=(*photo.notes, *filter(None, problems)), found=detection)


def _chosen(
    heads: list[Alignment], number: int | None, name: str, pixels: UInt8[np.ndarray, "height width 3"]
) -> Alignment:
    """Return the head of this number (None: the first), or refuse the photo in a sentence."""
    shape, light = pixels.shape, why_nothing_is_found(pixels, heads[0] if heads else None)
    if light:
        raise PanoHeadError(f"{name} is {light}; give a photo with other light")
    remedy = (
        "give a photo that shows one (a face up to about 60 degrees from the front; of a profile the shoulders too), "
        "its angles and box with --poses FILE.csv, or an aligned crop with --aligned --labels"
    )
    searched = len(parts(shape))
    if not heads:
        how = f" (a panorama of {shape[1]} x {shape[0]} pixels, searched in {searched} parts)" if searched > 1 else ""
        raise PanoHeadError(f"no head was found in {name}{how}; {remedy}")
    if number is not None and number > len(heads):
        count = "only one head was" if len(heads) == 1 else f"{len(heads)} heads were"
        raise PanoHeadError(
            f"{count} found in {name}, so there is no head {number}; leave --head out to take the first"
        )
    chosen = heads[(number or 1) - 1]
    if not chosen.is_sure:
        raise PanoHeadError(
            f"no head was found in {name}: the best guess, by {chosen.method}, has a confidence of "
            f"{chosen.confidence:.2f} and needs {MIN_CONFIDENCE}; {remedy}"
        )
    return chosen


def _problems(alignment: Alignment, cut: CutHead) -> list[str]:
    facts = measure(alignment, cut)
    reason = gate(alignment, facts, _GATES)
    problems = []
    if alignment.kind == "coarse":
        yaw = alignment.angles_deg[0]
        problems.append(
            f"The camera is a guess ({alignment.method}): a yaw of {yaw:.0f} degrees. The result is a best effort; if "
            "the angle is wrong, give it with --poses."
        )
    if facts.head_outside.is_much:
        problems.append(f"About {facts.head_outside}: it is filled in for looks, and the result is a guess there.")
    if reason:
        problems.append(f"The crop is doubtful ({reason}); the result is a best effort.")
    elif facts.exposure.problem:
        problems.append(f"The photo is {facts.exposure.problem}.")
    return problems


def _refuse_small(pixels: UInt8[np.ndarray, "height width 3"], name: str) -> None:
    if min(pixels.shape[:2]) < MIN_SIDE:
        raise PanoHeadError(
            f"{name} has {pixels.shape[1]} x {pixels.shape[0]} pixels; a head needs at least {MIN_SIDE}, give a "
            "larger photo"
        )
