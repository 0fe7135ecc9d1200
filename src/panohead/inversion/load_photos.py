"""Photos as people give them: paths, pictures or arrays, to what the optimisation sees."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image, ImageOps

from panohead.alignment.detectors import Detectors
from panohead.alignment.pose_file import GivenPose
from panohead.alignment.read_photo import DecodedPhoto, read_photo, to_rgb
from panohead.errors import PanoHeadError
from panohead.geometry import Camera
from panohead.inversion.labels import label_mismatch
from panohead.inversion.photo import AlignedPhoto, aligned_photo, found_photo

MAX_PHOTOS = 8
ImageInput = str | Path | Image.Image | np.ndarray
"""Arrays are RGB, RGBA or grey: uint8, "height width 3", "height width 4" or "height width"."""
MaskInput = str | Path | Image.Image | np.ndarray
"""Arrays are "height width": uint8, 255 for the head, or bool."""


def read_images(
    images: Sequence[ImageInput],
    cameras: Sequence[Camera] | None,
    size: int,
    *,
    masks: Sequence[MaskInput | None] | None = None,
    poses: Sequence[GivenPose | None] | None = None,
    tools: Detectors | None = None,
) -> list[AlignedPhoto]:
    """Photos of one person. With ``cameras`` they are crops in the official frame; without, heads are looked for.

    Args:
        masks: the head in every crop (None: no mask), or the person in every ordinary photo (None: to be found).
        poses: the user's angles of ordinary photos, None where they are to be estimated.
        tools: that look for heads; with ``cameras`` for faces that contradict them, not at all if None.

    Raises:
        PanoHeadError: for anything that cannot be a photo of a head, naming it.
    """
    if not 1 <= len(images) <= MAX_PHOTOS:
        raise PanoHeadError(f"{len(images)} photos were given; give 1 to {MAX_PHOTOS} of one person")
    for what, each in (("cameras", cameras), ("masks", masks), ("poses", poses)):
        if each is not None and len(each) != len(images):
            raise PanoHeadError(f"{len(images)} photos and {len(each)} {what} were given; give one for each")
    names = [Path(p).name if isinstance(p, str | Path) else f"photo {i + 1}" for i, p in enumerate(images)]
    tools = Detectors() if tools is None and cameras is None else tools
    photos: list[AlignedPhoto] = []
    for i, (image, name) in enumerate(zip(images, names, strict=True)):
        # One at a time: eight photos of a camera are a gigabyte.
        read = _read(image, name)
        given = None if masks is None else masks[i]
        mask = None if given is None else _mask(given, name)
        if cameras is None:
            assert tools is not None
            pose = None if poses is None else poses[i]
            pose = None if pose is None else pose.shrunk(read.shrink)
            photo = found_photo(read.pixels, size, tools, given=pose, mask=mask, name=name)
        else:
            photo = aligned_photo(read.pixels, _single(cameras[i]), size, mask=mask, name=name)
            if tools is not None and (mismatch := label_mismatch(read.pixels, photo.camera, tools)) is not None:
                photo = replace(photo, notes=(*photo.notes, mismatch))
        same = [f"The same picture as {p.name}; it shows nothing new." for p in photos if _equal(p, photo)]
        done = [f"Of the file: {note}." for note in read.notes]
        photos.append(replace(photo, notes=(*done, *photo.notes, *same[:1])))
    return photos


def _equal(a: AlignedPhoto, b: AlignedPhoto) -> bool:
    return torch.equal(a.image, b.image)


def _single(camera: Camera) -> Camera:
    return Camera(camera.cam2world.reshape(4, 4).float(), camera.intrinsics.reshape(3, 3).float())


def _read(image: ImageInput, name: str) -> DecodedPhoto:
    """Upright RGB."""
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
    grey = _read(mask, f"the mask of {name}").pixels[..., 0] if not isinstance(mask, np.ndarray) else mask
    if grey.dtype == np.bool_ and grey.ndim == 2:
        grey = grey.astype(np.uint8) * 255
    if grey.dtype != np.uint8 or grey.ndim != 2:
        raise PanoHeadError(
            f"the mask of {name} is {_described(grey)}; give height x width of uint8 (255 for the head) or bool"
        )
    if grey.max(initial=0) == 0:
        raise PanoHeadError(f"the mask of {name} is empty; give one with the head in white, or none")
    return grey
