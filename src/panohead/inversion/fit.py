"""How well the head fits its photos, in numbers and, where it does not, in words."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from panohead.geometry import Camera, angle_between_deg
from panohead.inversion.camera_refinement import CameraRefinement
from panohead.inversion.losses import psnr_db, ssim
from panohead.inversion.objective import compositing_color
from panohead.inversion.photo import AlignedPhoto
from panohead.inversion.reconstructed_head import ReconstructedHead

MIN_OVERLAP = 0.8
MIN_PSNR_DB = 15.0
MAX_PRIOR_DEVIATIONS = 2.0
"""Of the camera's way, in what such an estimate is usually wrong by."""


@dataclass(frozen=True)
class Fit:
    """Attributes:
    target: what the reconstruction was compared with, [-1, 1]: the photo, or the head cut out of it.
    psnr_db, ssim: of the whole picture, target against reconstruction.
    head_psnr_db: of the head alone; None without a mask.
    overlap: of the masks (intersection over union); None without a mask.
    turned_deg: by how much the camera was turned.
    prior_deviations: the same, in what such an estimate is usually wrong by.
    """

    target: Float[Tensor, "3 height width"]
    psnr_db: float
    ssim: float
    head_psnr_db: float | None
    overlap: float | None
    turned_deg: float
    prior_deviations: float

    def problems(self) -> list[str]:
        """Sentences about what does not fit, each with what was measured; none when all is well.

        The limits are rules of thumb: a correct label can cross them too, so the sentences accuse nothing.
        """
        found = []
        if self.prior_deviations > MAX_PRIOR_DEVIATIONS:
            found.append(
                f"The camera was turned by {self.turned_deg:.0f} degrees, {self.prior_deviations:.1f} times what such "
                "an estimate is usually wrong by; if the view is wrong, the head is wrong too."
            )
        measured = []
        if self.overlap is not None and self.overlap < MIN_OVERLAP:
            measured.append(f"the head's outline overlaps by {self.overlap:.0%} with the photo's")
        inside, where = (self.psnr_db, "picture") if self.head_psnr_db is None else (self.head_psnr_db, "head")
        if inside < MIN_PSNR_DB:
            measured.append(f"the {where} resembles the photo's with a PSNR of {inside:.1f} dB")
        if measured:
            sentence = " and ".join(measured)
            found.append(
                f"{sentence[0].upper()}{sentence[1:]}; a wrong camera label, a wrong mask or too few steps may be why, "
                "and the result is a best effort."
            )
        return found


@torch.no_grad()
def fits(head: ReconstructedHead, *, cut_out: bool = True) -> list[Fit]:
    """One for every photo.

    Args:
        cut_out: masked photos were compared on the generator's empty colour where it makes no background.
    """
    empty = compositing_color(head.untuned) if cut_out else None
    prior_deviations = CameraRefinement(head.photos, "cpu").spread
    return [
        _fit(head, i, photo, camera.to("cpu"), prior_deviations[i], empty)
        for i, (photo, camera) in enumerate(zip(head.photos, head.cameras, strict=True))
    ]


def _fit(
    head: ReconstructedHead,
    index: int,
    photo: AlignedPhoto,
    camera: Camera,
    spread: Float[Tensor, " 5"],
    empty: Float[Tensor, "3 1 1"] | None,
) -> Fit:
    view = head.input_views[index]
    image, target = view.image.cpu(), photo.image.cpu()
    inside, overlap = None, None
    if photo.mask is not None:
        mask, own = photo.mask.cpu(), view.alpha().cpu()
        if empty is not None:
            target = mask * target + (1 - mask) * empty.cpu()
        squared = (mask * (image - target).square()).sum() / (3 * mask.sum()).clamp_min(1e-6)
        inside = float(-10 * torch.log10(squared.clamp_min(1e-10) / 4))
        overlap = float(torch.minimum(mask, own).sum() / torch.maximum(mask, own).sum().clamp_min(1e-6))
    turned = angle_between_deg(camera, photo.camera)
    return Fit(
        target=target,
        psnr_db=psnr_db(image, target),
        ssim=float(ssim(image[None], target[None])),
        head_psnr_db=inside,
        overlap=overlap,
        turned_deg=turned,
        prior_deviations=turned / float(spread[0]),
    )
