"""One photo to an aligned head: crop, camera and mask in a single call (PanoHead section 3.4, stage 1)."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from panohead.alignment.cut_head import cut_head
from panohead.alignment.detectors import Detectors
from panohead.alignment.head_alignment import Alignment, align_image
from panohead.alignment.overlay import overlay
from panohead.alignment.pose_file import GivenPose
from panohead.alignment.read_photo import PhotoInput, load_photo
from panohead.geometry.camera import Camera


@dataclass(frozen=True)
class AlignedHead:
    """A head cut out of a photo in the official frame, as the networks are trained on.

    Attributes:
        photo: the whole photo, upright RGB.
        image: the aligned crop, RGB.
        mask: share of the person in each pixel of the crop, 0 to 1; 0 beyond the photo.
        inside: share of each pixel of the crop that lies in the photo, 0 to 1; the rest is filled in, for looks only.
        alignment: findings: camera, place of the crop in the photo, kind and confidence.
    """

    photo: UInt8[np.ndarray, "height width 3"]
    image: UInt8[np.ndarray, "563 563 3"]
    mask: Float[np.ndarray, "563 563"]
    inside: Float[np.ndarray, "563 563"]
    alignment: Alignment

    @property
    def camera(self) -> Camera:
        """The official camera of the crop, without batch dimension."""
        return self.alignment.camera

    def overlay(self) -> Image.Image:
        """Return the photo at 320 pixels with the crop's outline, the head's axes and the background dimmed."""
        return overlay(self.photo, self.alignment, self.mask, accepted=True)


def align(
    photo: PhotoInput, detectors: Detectors | None = None, *, given: GivenPose | None = None
) -> AlignedHead | None:
    """Find the most prominent head of a photo; return its crop in the official frame, its camera and its mask.

    Example:
        >>> from panohead.alignment import align
        >>> head = align("portrait.jpg")
        >>> head.alignment.kind, head.alignment.angles_deg, head.camera.to_label()

    Args:
        photo: a file in any format of :mod:`panohead.alignment.read_photo`, a Pillow image, or an array of uint8 of
            shape (height, width), (height, width, 3) or (height, width, 4). Files and Pillow images are turned upright
            by their EXIF orientation; transparent parts become white.
        detectors: None for MediaPipe's (extra ``face``). Pass one object for many photos: opening models takes
            a second.
        given: the user's pose; angles and box are then not estimated. The box is in pixels of the upright photo.

    Returns:
        The aligned head; None when no head is found, or only a guess (:attr:`Alignment.is_sure`): an animal, a cup.

    Raises:
        PanoHeadError: when the photo cannot be read, or a detector is not installed.
    """
    decoded = load_photo(photo)
    detectors = Detectors() if detectors is None else detectors
    alignment = align_image(decoded.pixels, detectors, None if given is None else given.shrunk(decoded.shrink))
    if alignment is None or not alignment.is_sure:
        return None
    head = cut_head(decoded.pixels, alignment, detectors.masker)
    return AlignedHead(decoded.pixels, head.frame, head.mask, head.inside, alignment)
