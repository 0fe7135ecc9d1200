"""Photos as users give them (paths, images or arrays) to aligned photos for the optimization."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image

from panohead.alignment.detectors import Detectors
from panohead.alignment.photo_area import PhotoCorners
from panohead.alignment.photo_mask import find_own_mask, forget_own_masks, own_mask_names
from panohead.alignment.pose_file import GivenPose
from panohead.alignment.read_photo import DecodedPhoto, from_pillow, read_photo
from panohead.data.masks import (
    aspect_problem,
    mask_of_image,
    mask_problem,
    read_mask,
    turned_mask,
    values_problem,
)
from panohead.data.names import EXAMPLES
from panohead.errors import PanoHeadError, UsageError
from panohead.files.image import to_rgb
from panohead.files.regular import read_regular
from panohead.geometry import Camera, single_camera
from panohead.inversion.labels import check_camera, refuse_mismatch
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
    heads: Sequence[int | None] | None = None,
    corners: Sequence[PhotoCorners | None] | None = None,
    tools: Detectors | None = None,
) -> list[AlignedPhoto]:
    """Read photos of one person. With ``cameras`` they are crops in the official frame; without, heads are detected.

    Args:
        images: 1 to 8 photos.
        cameras: camera of every crop, None for ordinary photos.
        size: side of the result in pixels.
        masks: head in every crop (None: no mask), or person in every ordinary photo (None: to be found).
        poses: the user's angles (or boxes) of ordinary photos, None where they are to be estimated.
        heads: number of the head to take of several in each ordinary photo, from 1; None for the most prominent.
        corners: photos' corners in crops that go beyond them (:mod:`panohead.alignment.photo_area`), None for others.
        tools: detectors of heads; with ``cameras`` they find faces that contradict the labels, None skips that.

    Raises:
        PanoHeadError: for anything that cannot be a photo of a head, naming it.
    """
    check_count(len(images))
    for what, each in _each(cameras, masks, poses, heads, corners):
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
        mask = None if given is None else _mask(given, name, decoded.pixels)
        if cameras is None:
            assert tools is not None
            pose = None if poses is None else poses[i]
            pose = None if pose is None else pose.shrunk(decoded.shrink)
            head = None if heads is None else heads[i]
            photo = found_photo(decoded.pixels, size, tools, given=pose, head=head, mask=mask, name=name)
        else:
            camera, ends = _single(cameras[i]), None if corners is None else corners[i]
            check_camera(camera, name)
            photo = aligned_photo(decoded.pixels, camera, size, mask=mask, name=name, corners=ends)
            turned = "" if mask is None else turned_mask(mask, decoded.pixels)
            notes = [*_shape_notes(decoded.pixels), *filter(None, [turned])]
            if tools is not None and (mismatch := refuse_mismatch(decoded.pixels, camera, tools, name)) is not None:
                notes.append(mismatch)
            photo = replace(photo, notes=(*photo.notes, *notes))
        if mask is not None and photo.mask is not None:
            _refuse_mask(photo)
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
        return from_pillow(image)
    try:
        return read_photo(read_regular(image))
    except OSError as error:
        raise PanoHeadError(f"{image} cannot be read ({error.strerror}); check the path") from error
    except PanoHeadError as error:
        raise PanoHeadError(f"{name} is no usable photo: {error}") from error


def _described(array: np.ndarray) -> str:
    return f"an array of {array.dtype}, {' x '.join(map(str, array.shape))}"


def _mask(mask: MaskInput, name: str, image: UInt8[np.ndarray, "rows columns 3"]) -> UInt8[np.ndarray, "height width"]:
    """Return a mask as 0..255, refused where its values or its size cannot be those of a mask of this image."""
    what = f"the mask of {name}"
    if isinstance(mask, np.ndarray):
        gray = mask.astype(np.uint8) * 255 if mask.dtype == np.bool_ and mask.ndim == 2 else mask
        if gray.dtype != np.uint8 or gray.ndim != 2:
            raise PanoHeadError(
                f"{what} is {_described(gray)}; give height x width of uint8 (255 for the head) or bool"
            )
    elif isinstance(mask, Image.Image):
        gray = mask_of_image(mask, f"of {name}")
    else:
        try:
            gray = read_mask(read_regular(Path(mask)), str(mask))
        except OSError as error:
            raise PanoHeadError(f"{mask} cannot be read ({error.strerror}); check the path") from error
    problem = values_problem(gray) or aspect_problem(gray.shape, image.shape)
    if problem:
        raise PanoHeadError(f"{what} cannot be used: {problem}; give another, or none")
    return gray


def _refuse_mask(photo: AlignedPhoto) -> None:
    """Refuse the user's mask of a crop where it cannot be one of the head in it."""
    assert photo.mask is not None
    inside = None if photo.inside is None else photo.inside[0].numpy()
    problem = mask_problem(np.rint(photo.mask[0].numpy() * 255).astype(np.uint8), inside)
    if problem:
        raise PanoHeadError(f"the mask of {photo.name} cannot be used: {problem}; give another, or none")


def _shape_notes(image: UInt8[np.ndarray, "rows columns 3"]) -> list[str]:
    """Return a sentence on a crop that is not square, as all crops in the official frame are."""
    height, width = image.shape[:2]
    if abs(height - width) <= 1:
        return []
    return [
        f"The crop has {width} x {height} pixels, and crops in the official frame are square: its central square is "
        "used. Without --aligned and --labels the head is found and cut."
    ]


def _each(
    cameras: Sequence[Camera] | None,
    masks: Sequence[MaskInput | None] | None,
    poses: Sequence[GivenPose | None] | None,
    heads: Sequence[int | None] | None,
    corners: Sequence[PhotoCorners | None] | None,
) -> list[tuple[str, Sequence[object] | None]]:
    """Return what is given once for every photo, by name."""
    return [("cameras", cameras), ("masks", masks), ("poses", poses), ("heads", heads), ("corners", corners)]


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
        raise PanoHeadError(
            f"{photo} is a folder; give the photos in it, at most {MAX_PHOTOS} of one person, or --each for one head a "
            "photo"
        )
    if not photo.is_file():
        raise PanoHeadError(f"there is no photo {photo}; check the path")


def find_masks(place: Path, photos: Sequence[Path]) -> list[MaskInput | None]:
    """Return the user's mask of every photo out of a folder or zip archive, by :mod:`panohead.data.names`.

    Raises:
        PanoHeadError: when a photo has none.
    """
    forget_own_masks()
    found = [find_own_mask(place, photo.as_posix()) for photo in photos]
    missing = [photo.name for photo, mask in zip(photos, found, strict=True) if mask is None]
    if missing:
        names = own_mask_names(place)
        held = f"it holds {', '.join(names[:EXAMPLES])}" if names else "it holds no images"
        stem = Path(missing[0]).stem
        raise PanoHeadError(
            f"there is no mask of {', '.join(missing[:EXAMPLES])} in {place} ({held}); give {stem}.png there"
        )
    return [mask.read() for mask in found if mask is not None]
