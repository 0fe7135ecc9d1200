"""One aligned head cut out of its photo: frame, mask, and which part of the frame the photo shows."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, UInt8

from panohead.alignment.crop import FRAME, cut_frame
from panohead.alignment.head_alignment import Alignment
from panohead.alignment.person_mask import PersonMasker
from panohead.alignment.photo_area import HeadOutside, PhotoCorners, head_outside, inside_photo, photo_area
from panohead.alignment.photo_mask import cut_mask


@dataclass(frozen=True)
class CutHead:
    """A head in the official frame.

    Attributes:
        frame: the crop, RGB. Beyond the photo it is filled in, for looks only.
        mask: share of the person in each pixel, 0 to 1; 0 beyond the photo.
        inside: share of each pixel that lies in the photo, 0 to 1.
        corners: the photo's rectangle in the frame; see :mod:`panohead.alignment.photo_area`.
        outside: estimate of the part of the head that the photo does not show.
    """

    frame: UInt8[np.ndarray, "563 563 3"]
    mask: Float[np.ndarray, "563 563"]
    inside: Float[np.ndarray, "563 563"]
    corners: PhotoCorners
    outside: HeadOutside

    @property
    def is_whole(self) -> bool:
        """True when the photo covers the whole frame."""
        return bool((self.inside == 1).all())


def cut_head(
    photo: UInt8[np.ndarray, "height width 3"],
    alignment: Alignment,
    masker: PersonMasker,
    own_mask: UInt8[np.ndarray, "rows columns"] | None = None,
) -> CutHead:
    """Cut an aligned head and its mask out of a photo.

    Args:
        photo: the upright photo that was aligned, RGB.
        alignment: findings.
        masker: network for the mask of the crop.
        own_mask: the user's mask of the whole photo at any size, 255 for the person; then ``masker`` is not used.
    """
    area = photo_area(photo)
    # Bars are filled like everything else beyond the photo, so the frame is cut from the photo without them.
    frame = cut_frame(area.part(photo), area.crop_in(alignment.crop))
    corners = area.corners(alignment.crop)
    inside = inside_photo(corners, FRAME)
    # Mask networks shrink their input, so they are given the frame around the head and not the whole photo.
    soft = masker.mask(frame) if own_mask is None else cut_mask(own_mask, photo.shape, alignment.crop)
    # Beyond the photo the frame shows a mirror image, in which networks find a second person.
    mask = soft * inside
    return CutHead(frame, mask, inside, corners, head_outside(inside, alignment.angles_deg[0], mask))
