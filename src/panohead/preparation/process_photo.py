"""One photo: decode, align, crop, mask, compare with the gates, write. A failure becomes the reason in its record."""

import io
from dataclasses import replace

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from panohead.alignment.cut_head import cut_head
from panohead.alignment.detectors import Detectors
from panohead.alignment.face_landmarks import parts
from panohead.alignment.head_alignment import Alignment, align_all
from panohead.alignment.overlay import overlay
from panohead.alignment.photo_mask import find_own_mask
from panohead.alignment.pose_file import find_pose
from panohead.alignment.quality import flags, gate, measure, why_nothing_is_found
from panohead.alignment.read_photo import DecodedPhoto, TemporarilyUnreadable, read_photo
from panohead.data.duplicates import image_hash
from panohead.data.masks import aspect_problem, mask_problem
from panohead.errors import PanoHeadError
from panohead.preparation.files import REMEDY, encode, stem_of
from panohead.preparation.records import CropRecord, PhotoRecord
from panohead.preparation.settings import PrepareSettings
from panohead.preparation.sources import PhotoRef
from panohead.system.atomic_write import write_bytes

NO_HEAD = "no head found"
NO_SUCH_HEAD = "no head of that number"


def process_photo(ref: PhotoRef, settings: PrepareSettings, detectors: Detectors) -> PhotoRecord:
    """Prepare one photo: write its accepted crops, masks and overlays, and return its record.

    Raises:
        PanoHeadError: only for failures of the run rather than the photo: a full disk, a missing package.
    """
    record = PhotoRecord(photo=ref.name, stamp=ref.stamp, reason=ref.problem)
    if ref.problem:
        return record
    try:
        photo = read_photo(ref.read())
    except TemporarilyUnreadable as error:
        return replace(record, reason=str(error), again=True)
    except PanoHeadError as error:
        return replace(record, reason=str(error))
    record = replace(record, notes=photo.notes, photo_px=(photo.pixels.shape[1], photo.pixels.shape[0]))
    given = find_pose(settings.poses, ref.name)
    given = None if given is None else given.shrunk(photo.shrink)
    if given is not None and (beside := given.beside(photo.pixels.shape)):
        return replace(record, reason=beside)
    found = align_all(photo.pixels, detectors, given)
    if not found:
        small = overlay(photo.pixels, None, None, accepted=False)
        searched = len(parts(photo.pixels.shape))
        reason = NO_HEAD if searched == 1 else f"{NO_HEAD}: a panorama, searched in {searched} parts"
        reason = why_nothing_is_found(photo.pixels) or reason
        return replace(record, reason=reason, overlay=write_overlay(settings, ref, 0, small))
    record = replace(record, heads_found=len(found))
    if settings.head > len(found) and not settings.all_faces:
        small = overlay(photo.pixels, found[0], None, accepted=False, heads=found)
        reason = f"{NO_SUCH_HEAD}: {len(found)} found, head {settings.head} was asked for"
        return replace(record, reason=reason, overlay=write_overlay(settings, ref, 0, small))
    chosen = range(len(found)) if settings.all_faces else [settings.head - 1]
    own = None if settings.masks is None else find_own_mask(settings.masks, ref.name)
    try:
        own_mask = None if own is None else own.read()
    except PanoHeadError as error:
        return replace(record, reason=str(error))
    if own_mask is not None and (problem := aspect_problem(own_mask.shape, photo.pixels.shape)):
        return replace(record, reason=f"the mask {own} cannot be used: {problem}")
    crops = [_crop(ref, settings, detectors, photo, own_mask, i, found) for i in chosen]
    return replace(record, crops=tuple(crops))


def _crop(
    ref: PhotoRef,
    settings: PrepareSettings,
    detectors: Detectors,
    photo: DecodedPhoto,
    own_mask: UInt8[np.ndarray, "rows columns"] | None,
    face: int,
    heads: list[Alignment],
) -> CropRecord:
    """Cut and mask one head and compare it with the gates; write it if it is accepted."""
    alignment = heads[face]
    head = cut_head(photo.pixels, alignment, detectors.masker, own_mask)
    frame, mask = head.frame, head.mask
    facts = measure(alignment, head)
    reason = gate(alignment, facts, settings.gates)
    reason = (reason and why_nothing_is_found(photo.pixels, alignment)) or reason
    if (
        own_mask is not None
        and not reason
        and (problem := mask_problem(np.rint(mask * 255).astype(np.uint8), head.inside))
    ):
        reason = f"its own mask is wrong: {problem}"
    stem = stem_of(ref, face)
    image_name, mask_name = f"{stem}.{settings.format}", f"{stem}.png"
    if not reason:
        size = (settings.size, settings.size)
        image = Image.fromarray(frame).resize(size, Image.Resampling.LANCZOS)
        soft = Image.fromarray(np.rint(mask * 255).astype(np.uint8)).resize(size, Image.Resampling.BILINEAR)
        write_bytes(settings.out / "masks" / mask_name, encode(soft, ".png"), remedy=REMEDY)
        write_bytes(settings.out / "images" / image_name, encode(image, f".{settings.format}"), remedy=REMEDY)
    yaw, pitch, roll = alignment.angles_deg
    small = overlay(photo.pixels, alignment, mask, accepted=not reason, heads=heads)
    x, y = alignment.crop.center
    return CropRecord(
        reason=reason,
        image=image_name,
        mask=mask_name,
        kind=alignment.kind,
        method=alignment.method,
        confidence=round(alignment.confidence, 4),
        yaw_deg=round(yaw, 3),
        pitch_deg=round(pitch, 3),
        roll_deg=round(roll, 3),
        residual=None if alignment.residual is None else round(alignment.residual, 5),
        center=(round(x, 3), round(y, 3)),
        half_px=round(alignment.crop.half_px, 3),
        angle_deg=round(alignment.crop.angle_deg, 3),
        flags=tuple(flags(alignment, facts, heads=len(heads), number=face + 1)),
        core_px=round(facts.core_px, 1),
        sharpness=round(facts.sharpness, 2),
        outside=round(facts.outside, 4),
        face_visible=None if facts.face_visible is None else round(facts.face_visible, 3),
        mask_coverage=round(facts.mask.coverage, 4),
        mask_pieces=facts.mask.pieces,
        mask_largest=round(facts.mask.largest, 3),
        hash=image_hash(frame),
        label=label_of(alignment),
        overlay=write_overlay(settings, ref, face, small),
        head_outside=round(head.outside.share, 4),
        photo_corners=None
        if head.is_whole
        else tuple((round(float(x), 5), round(float(y), 5)) for x, y in head.corners),
    )


def label_of(alignment: Alignment) -> tuple[float, ...]:
    """Return the camera's 25 numbers, rounded to 6 decimals as in the official files (adding 0 turns -0 into 0)."""
    return tuple(round(float(value), 6) + 0.0 for value in alignment.camera.to_label())


def write_overlay(settings: PrepareSettings, ref: PhotoRef, face: int, image: Image.Image) -> str:
    """Write the report's image of a photo as JPEG; return its path in the dataset."""
    name = f"report/{stem_of(ref, face)}.jpg"
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=80)
    write_bytes(settings.out / name, buffer.getvalue(), remedy=REMEDY)
    return name
