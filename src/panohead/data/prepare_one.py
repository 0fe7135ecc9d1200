"""One photo: read, align, crop, mask, judge, write. Whatever goes wrong with it becomes the reason in its record."""

import io

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from panohead.data.align_tools import AlignmentTools
from panohead.data.alignment import Alignment, align_all
from panohead.data.crop import FRAME, cut_frame, frame_to_core, is_inside
from panohead.data.mask_check import examine_mask
from panohead.data.mask_person import read_own_mask
from panohead.data.pose_sidecar import find_pose
from panohead.data.prepare_files import Record, encode, stem_of, write_atomic
from panohead.data.prepare_overlay import overlay
from panohead.data.prepare_photo import NotNow, Photo, read_photo
from panohead.data.prepare_settings import PrepareSettings
from panohead.data.prepare_sources import PhotoRef
from panohead.data.quality import (
    CropFacts,
    as_record,
    face_visible,
    flags,
    gate,
    outside_share,
    picture_hash,
    sharpness,
)
from panohead.errors import PanoHeadError

_GRID = 33
NO_HEAD = "no head found"


def prepare_photo(ref: PhotoRef, settings: PrepareSettings, tools: AlignmentTools) -> Record:
    """The record of one photo; its accepted crops, masks and its overlay are written.

    Raises:
        PanoHeadError: only for what is wrong with the run rather than the photo: a full disk, a missing package.
    """
    record: Record = {"photo": ref.name, "stamp": ref.stamp, "reason": ref.problem, "remarks": [], "crops": []}
    if ref.problem:
        return record
    try:
        photo = read_photo(ref.read())
    except NotNow as error:
        return {**record, "reason": str(error), "again": True}
    except PanoHeadError as error:
        return {**record, "reason": str(error)}
    record["remarks"] = list(photo.remarks)
    record["photo_px"] = [photo.pixels.shape[1], photo.pixels.shape[0]]
    given = find_pose(settings.poses, ref.name)
    found = align_all(photo.pixels, tools, None if given is None else given.shrunk(photo.shrink))
    if not found:
        record["reason"] = NO_HEAD
        record["overlay"] = write_overlay(settings, ref, 0, overlay(photo.pixels, None, None, accepted=False))
        return record
    chosen = found if settings.all_faces else found[:1]
    record["heads_found"] = len(found)
    own = None if settings.masks is None else read_own_mask(settings.masks, ref.name)
    try:
        own_mask = None if own is None else read_photo(own.read_bytes()).pixels
    except (OSError, PanoHeadError) as error:
        return {**record, "reason": f"its mask {own} cannot be used: {error}"}
    record["crops"] = [_crop(ref, settings, tools, photo, own_mask, i, one) for i, one in enumerate(chosen)]
    return record


def _crop(
    ref: PhotoRef,
    settings: PrepareSettings,
    tools: AlignmentTools,
    photo: Photo,
    own_mask: UInt8[np.ndarray, "rows columns 3"] | None,
    face: int,
    alignment: Alignment,
) -> Record:
    """Cut, mask and judge one head; write it if it is accepted."""
    frame = alignment.cut(photo.pixels)
    mask = tools.masker.mask(frame) if own_mask is None else cut_mask(own_mask, photo.pixels.shape, alignment)
    facts = measure(photo.pixels, alignment, frame, mask)
    reason = gate(alignment, facts, settings.gates)
    stem = stem_of(ref, face)
    image_name, mask_name = f"{stem}.{settings.format}", f"{stem}.png"
    if not reason:
        size = (settings.size, settings.size)
        picture = Image.fromarray(frame).resize(size, Image.Resampling.LANCZOS)
        soft = Image.fromarray(np.rint(mask * 255).astype(np.uint8)).resize(size, Image.Resampling.BILINEAR)
        write_atomic(settings.out / "masks" / mask_name, encode(soft, ".png"))
        write_atomic(settings.out / "images" / image_name, encode(picture, f".{settings.format}"))
    yaw, pitch, roll = alignment.angles_deg
    small = overlay(photo.pixels, alignment, mask, accepted=not reason)
    return {
        "reason": reason,
        "image": image_name,
        "mask": mask_name,
        "kind": alignment.kind,
        "method": alignment.method,
        "confidence": round(alignment.confidence, 4),
        "yaw_deg": round(yaw, 3),
        "pitch_deg": round(pitch, 3),
        "roll_deg": round(roll, 3),
        "residual": None if alignment.residual is None else round(alignment.residual, 5),
        "crop": {
            "centre": [round(v, 3) for v in alignment.crop.centre],
            "half_px": round(alignment.crop.half_px, 3),
            "angle_deg": round(alignment.crop.angle_deg, 3),
        },
        "flags": flags(alignment, facts),
        **as_record(facts),
        "hash": picture_hash(frame),
        "label": label_of(alignment),
        "overlay": write_overlay(settings, ref, face, small),
    }


def measure(
    image: UInt8[np.ndarray, "height width 3"],
    alignment: Alignment,
    frame: UInt8[np.ndarray, "563 563 3"],
    mask: Float[np.ndarray, "563 563"],
) -> CropFacts:
    """What the gates judge by."""
    ends = np.linspace(0, FRAME - 1, _GRID)
    points = frame_to_core(np.stack(np.meshgrid(ends, ends), -1).reshape(-1, 2))
    visible = None
    if alignment.landmarks is not None:
        places = alignment.crop.to_frame(alignment.landmarks[:, :2])
        visible = face_visible(mask, np.concatenate([places, alignment.landmarks[:, 2:]], axis=1))
    return CropFacts(
        core_px=2 * alignment.crop.half_px,
        sharpness=sharpness(frame),
        outside=outside_share(alignment.crop.points(points), image.shape),
        face_visible=visible,
        mask=examine_mask(mask),
    )


def label_of(alignment: Alignment) -> list[float]:
    """The 25 numbers, rounded to 6 decimals as the official files have them."""
    return [round(float(value), 6) + 0.0 for value in alignment.camera.to_label()]


def write_overlay(settings: PrepareSettings, ref: PhotoRef, face: int, picture: Image.Image) -> str:
    """Write the report's picture; returns its path in the dataset."""
    name = f"report/{stem_of(ref, face)}.jpg"
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=80)
    write_atomic(settings.out / name, buffer.getvalue())
    return name


def cut_mask(
    mask: UInt8[np.ndarray, "rows columns *channel"], shape: tuple[int, ...], alignment: Alignment
) -> Float[np.ndarray, "563 563"]:
    """The user's mask (of any size) of a whole photo of this shape, cut like the photo; 0 beyond it."""
    whole = mask.reshape(*mask.shape[:2], -1)[..., 0]
    if whole.shape != shape[:2]:
        size = (shape[1], shape[0])
        whole = np.asarray(Image.fromarray(whole).resize(size, Image.Resampling.BILINEAR))
    cut = cut_frame(whole[..., None], alignment.crop)[..., 0].astype(np.float64) / 255
    # Beyond the photo the cut shows its mirror image, which would be a second person.
    ends = np.arange(FRAME)
    places = alignment.crop.points(frame_to_core(np.stack(np.meshgrid(ends, ends), -1).astype(np.float64)))
    return cut * is_inside(places, whole.shape)
