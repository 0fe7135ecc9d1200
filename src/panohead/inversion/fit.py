"""Agreement of a reconstructed head with its photos: measures, and sentences about what does not agree."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from panohead.geometry import Camera, angle_between_deg
from panohead.inversion.camera_refinement import CameraRefinement
from panohead.inversion.losses import ssim
from panohead.inversion.objective import compositing_color
from panohead.inversion.photo import AlignedPhoto
from panohead.inversion.reconstructed_head import ReconstructedHead

MIN_OVERLAP = 0.8
"""Smallest intersection over union of the masks without a warning."""
MIN_PSNR_DB = 15.0
"""Smallest PSNR of the head (of the image if there is no mask) without a warning."""
MAX_PRIOR_DEVIATIONS = 2.0
"""Largest camera rotation without a warning, in prior deviations."""


@dataclass(frozen=True)
class Fit:
    """Measures of one photo.

    Attributes:
        target: image in [-1, 1] that the reconstruction was compared with: the photo, or the head cut out of it.
        psnr_db: PSNR of the whole image as far as it lies in the photo, target against reconstruction.
        ssim: SSIM of the same.
        head_psnr_db: PSNR of the head alone; None without a mask.
        overlap: intersection over union of the masks; None without a mask.
        turned_deg: rotation of the camera by its refinement.
        prior_deviations: the same rotation in units of the usual error of such an estimate.
    """

    target: Float[Tensor, "3 height width"]
    psnr_db: float
    ssim: float
    head_psnr_db: float | None
    overlap: float | None
    turned_deg: float
    prior_deviations: float

    def problems(self) -> list[str]:
        """Return sentences about poor agreement, each with its measure; none if there is no reason for one.

        The limits are rules of thumb, which a correct label can exceed too; so the sentences name several causes.
        """
        found = []
        if self.prior_deviations > MAX_PRIOR_DEVIATIONS:
            found.append(
                f"The camera was turned by {self.turned_deg:.0f} degrees, {self.prior_deviations:.1f} times the usual "
                "error of such an estimate; if the view is wrong, the head is wrong too."
            )
        measured = []
        if self.overlap is not None and self.overlap < MIN_OVERLAP:
            measured.append(f"the head's outline overlaps by {self.overlap:.0%} with the photo's")
        inside, where = (self.psnr_db, "image") if self.head_psnr_db is None else (self.head_psnr_db, "head")
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
    """Return the measures of every photo.

    Args:
        head: reconstructed head.
        cut_out: masked photos were compared on the color of empty rays, for a generator without a background.
    """
    empty = compositing_color(head.untuned) if cut_out else None
    prior_deviations = CameraRefinement(head.photos, "cpu").prior_deviation
    return [
        _fit(head, i, photo, camera.to("cpu"), prior_deviations[i], empty)
        for i, (photo, camera) in enumerate(zip(head.photos, head.cameras, strict=True))
    ]


def _fit(
    head: ReconstructedHead,
    index: int,
    photo: AlignedPhoto,
    camera: Camera,
    prior_deviation: Float[Tensor, " 5"],
    empty: Float[Tensor, "3 1 1"] | None,
) -> Fit:
    view = head.input_views[index]
    image, target = view.image.cpu(), photo.image.cpu()
    inside, overlap = None, None
    in_photo = torch.ones_like(image[:1]) if photo.inside is None else photo.inside.cpu()
    if photo.mask is not None:
        mask, own = photo.mask.cpu(), view.alpha().cpu() * in_photo
        if empty is not None:
            target = mask * target + (1 - mask) * empty.cpu()
        # Mean squared error over the mask's pixels; PSNR of the value range 2, so its square is 4.
        squared = (mask * (image - target).square()).sum() / (3 * mask.sum()).clamp_min(1e-6)
        inside = float(-10 * torch.log10(squared.clamp_min(1e-10) / 4))
        overlap = float(torch.minimum(mask, own).sum() / torch.maximum(mask, own).sum().clamp_min(1e-6))
    turned = angle_between_deg(camera, photo.camera)
    # Beyond the photo there is nothing to compare with: there the image agrees with the target.
    compared = torch.lerp(target, image, in_photo)
    squared_error = (in_photo * (image - target).square()).sum() / (3 * in_photo.sum()).clamp_min(1e-6)
    return Fit(
        target=target,
        psnr_db=float(-10 * torch.log10(squared_error.clamp_min(1e-10) / 4)),
        ssim=float(ssim(compared[None], target[None])),
        head_psnr_db=inside,
        overlap=overlap,
        turned_deg=turned,
        prior_deviations=turned / float(prior_deviation[0]),
    )
