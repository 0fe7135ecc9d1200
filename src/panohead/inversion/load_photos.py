"""Photos as users give them (paths, images or arrays) to aligned photos for the optimization."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image, ImageOps

from panohead.alignment.detectors import Detectors
from panohead.alignment.photo_mask import read_own_mask
from panohead.alignment.pose_file import GivenPose
from panohead.alignment.read_photo import DecodedPhoto, read_photo, to_rgb
from panohead.errors import PanoHeadError, UsageError
from panohead.geometry import Camera, single_camera
from panohead.inversion.labels import label_mismatch
from panohead.inversion.photo import AlignedPhoto, aligned_photo, found_photo

MAX_PHOTOS = 8
"""Largest number of photos of one person."""
ImageInput = str | Path | Image.Image | np.ndarray
"""Path, image, or uint8 array "height width 3" (RGB), "height width 4" (RGBA) or "height width" (gray)."""
MaskInput = str | Path | Image.Image | np.ndarray
"""Path, image, or array "height width": uint8, 255 for the head, or bool."""


def as_images(images: Sequence[ImageInput] | ImageInput) -> list[ImageInput]:
    """Return one photo or several as a list; the text of one path is one photo, not one of each letter.

    Raises:
        UsageError: when it is neither.
    """
    if isinstance(images, np.ndarray) and images.ndim == 4:  # photo height width channel
        return list(images)
    if isinstance(images, str | Path | Image.Image | np.ndarray):
        return [images]
    try:
        found = list(images)
    except TypeError:
        found = [images]  # type: ignore[list-item]
    for photo in found:
        if not isinstance(photo, str | Path | Image.Image | np.ndarray):
            kind = type(photo).__name__
            raise UsageError(f"a photo of type {kind} was given; give paths, Pillow images or uint8 arrays")
    return found


def read_images(
    images: Sequence[ImageInput],
    cameras: Sequence[Camera] | None,
    size: int,
    *,
    masks: Sequence[MaskInput | None] | None = None,
    poses: Sequence[GivenPose | None] | None = None,
    tools: Detectors | None = None,
) -> list[AlignedPhoto]:
    """Read photos of one person. With ``cameras`` they are crops in the official frame; without, heads are detected.

    Args:
        images: 1 to 8 photos.
        cameras: camera of every crop, None for ordinary photos.
        size: side of the result in pixels.
        masks: head in every crop (None: no mask), or person in every ordinary photo (None: to be found).
        poses: the user's angles of ordinary photos, None where they are to be estimated.
        tools: detectors of heads; with ``cameras`` they find faces that contradict the labels, None skips that.

    Raises:
        PanoHeadError: for anything that cannot be a photo of a head, naming it.
    """
    check_count(len(images))
    for what, each in (("cameras", cameras), ("masks", masks), ("poses", poses)):
        if each is not None and len(each) != len(images):
            raise PanoHeadError(f"{len(images)} photos and {len(each)} {what} were given; give one for each")
    for image in images:
        if isinstance(image, str | Path):
            _check_file(Path(image))
    names = [Path(p).name if isinstance(p, str | Path) else f"photo {i + 1}" for i, p in enumerate(images)]
    tools = Detectors() if tools is None and cameras is None else tools
    photos: list[AlignedPhoto] = []
    for i, (image, name) in enumerate(zip(images, names, strict=True)):
        # One at a time: eight photos of a camera take a gigabyte of memory.
        decoded = _decode(image, name)
        given = None if masks is None else masks[i]
        mask = None if given is None else _mask(given, name)
        if cameras is None:
            assert tools is not None
            pose = None if poses is None else poses[i]
            pose = None if pose is None else pose.shrunk(decoded.shrink)
            photo = found_photo(decoded.pixels, size, tools, given=pose, mask=mask, name=name)
        else:
            photo = aligned_photo(decoded.pixels, _single(cameras[i]), size, mask=mask, name=name)
            if tools is not None and (mismatch := label_mismatch(decoded.pixels, photo.camera, tools)) is not None:
                photo = replace(photo, notes=(*photo.notes, mismatch))
        same = [f"The same image as {p.name}; it adds nothing." for p in photos if _equal(p, photo)]
        reading = [f"About the file: {note}." for note in decoded.notes]
        photos.append(replace(photo, notes=(*reading, *photo.notes, *same[:1])))
    return photos


def _equal(a: AlignedPhoto, b: AlignedPhoto) -> bool:
    return torch.equal(a.image, b.image)


def _single(camera: Camera) -> Camera:
    single = single_camera(camera, "a photo's camera")
    return Camera(single.cam2world.float(), single.intrinsics.float())


def _decode(image: ImageInput, name: str) -> DecodedPhoto:
    """Decode to RGB, upright."""
    if isinstance(image, np.ndarray):
        if image.dtype != np.uint8 or image.shape[2:] not in ((), (3,), (4,)) or image.ndim < 2:
            raise PanoHeadError(f"{name} is {_described(image)}; give height x width x 3 of uint8")
        return DecodedPhoto(np.array(to_rgb(Image.fromarray(image))), (), 1.0)
    if isinstance(image, Image.Image):
        return DecodedPhoto(np.array(to_rgb(ImageOps.exif_transpose(image))), (), 1.0)
    try:
        return read_photo(Path(image).read_bytes())
    except OSError as error:
        raise PanoHeadError(f"{image} cannot be read ({error.strerror}); check the path") from error
    except PanoHeadError as error:
        raise PanoHeadError(f"{name} is no usable photo: {error}") from error


def _described(array: np.ndarray) -> str:
    return f"an array of {array.dtype}, {' x '.join(map(str, array.shape))}"


def _mask(mask: MaskInput, name: str) -> UInt8[np.ndarray, "height width"]:
    gray = _decode(mask, f"the mask of {name}").pixels[..., 0] if not isinstance(mask, np.ndarray) else mask
    if gray.dtype == np.bool_ and gray.ndim == 2:
        gray = gray.astype(np.uint8) * 255
    if gray.dtype != np.uint8 or gray.ndim != 2:
        raise PanoHeadError(
            f"the mask of {name} is {_described(gray)}; give height x width of uint8 (255 for the head) or bool"
        )
    if gray.max(initial=0) == 0:
        raise PanoHeadError(f"the mask of {name} is empty; give one with the head in white, or none")
    return gray


def check_count(count: int) -> None:
    """Refuse a number of photos.

    Raises:
        UsageError: when it is not 1 to 8.
    """
    if not 1 <= count <= MAX_PHOTOS:
        raise UsageError(f"{count} photos were given; give 1 to {MAX_PHOTOS} of one person")


def check_photo_files(photos: Sequence[Path], *, found_by_name: bool) -> None:
    """Refuse files that cannot be photos of one person, before any work.

    Args:
        photos: the photos' paths.
        found_by_name: their labels or masks are found by the photos' file names.

    Raises:
        UsageError: for a wrong number of photos, or two photos of the same file name where that decides.
        PanoHeadError: for a folder or a missing file.
    """
    check_count(len(photos))
    # The same file twice has one name too, but then label and mask are the right ones for both.
    if found_by_name and len({photo.name for photo in photos}) < len(photos) and len(set(photos)) == len(photos):
        raise UsageError("two photos have the same file name; labels and masks are found by it, so rename one")
    for photo in photos:
        _check_file(photo)


def _check_file(photo: Path) -> None:
    if photo.is_dir():
        raise PanoHeadError(f"{photo} is a folder; give the photos in it, at most {MAX_PHOTOS} of one person")
    if not photo.is_file():
        raise PanoHeadError(f"there is no photo {photo}; check the path")


def find_masks(folder: Path, photos: Sequence[Path]) -> list[Path]:
    """Return the user's mask of every photo: the file of the same name in a folder, with any image suffix.

    Raises:
        PanoHeadError: when a photo has none.
    """
    masks = []
    for photo in photos:
        mask = read_own_mask(folder, photo.name)
        if mask is None:
            raise PanoHeadError(f"there is no mask of {photo.name} in {folder}; give {photo.stem}.png there")
        masks.append(mask)
    return masks
