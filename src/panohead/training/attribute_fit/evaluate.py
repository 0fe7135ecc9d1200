"""Evaluation of a fit in progress: training people, and held-out people from their attributes alone."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from panohead.ops.pixels import image_from_uint8, mask_from_uint8
from panohead.training.attribute_fit.fit import HeadModel
from panohead.training.attribute_fit.images import on_white
from panohead.training.attribute_fit.shots import Shots


@dataclass(frozen=True)
class FitComparison:
    """Views of some shots: ground truth and model, [-1, 1], and the peak signal-to-noise ratio of each view in dB."""

    truth: Float[Tensor, "shot view 3 height width"]
    model: Float[Tensor, "shot view 3 height width"]
    psnr: Float[Tensor, "shot view"]

    def sheet(self) -> UInt8[Tensor, "height width 3"]:
        """Return one image: for each shot a row of ground-truth views above a row of the model's views."""
        rows = torch.stack([self.truth, self.model], dim=1).flatten(0, 1)  # row view 3 h w
        sheet = rows.permute(0, 3, 1, 4, 2).flatten(2, 3).flatten(0, 1)
        return ((sheet.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).cpu()


@torch.no_grad()
def compare(model: HeadModel, data: Shots, shots: Int[Tensor, " shot"], *, with_residual: bool) -> FitComparison:
    """Render all views of some shots.

    Args:
        with_residual: use the people's residual codes; False for people without one.
    """
    truth, rendered = [], []
    for shot in shots.tolist():
        views = data.view_of[shot]
        person = data.person[shot : shot + 1] if with_residual else None
        ws = model.ws(data.attributes[shot : shot + 1], person)
        images = [
            model.generator.synthesis(
                ws, data.labels[view : view + 1], noise_mode="const", ray_jitter=0.5, importance_u=0.5
            ).image[0]
            for view in views.tolist()
        ]
        rendered.append(torch.stack(images).clamp(-1, 1))
        truth.append(on_white(image_from_uint8(data.images[views]), mask_from_uint8(data.masks[views][:, None])))
    target, image = torch.stack(truth), torch.stack(rendered)
    error = ((target - image) / 2).square().mean(dim=(2, 3, 4))
    return FitComparison(target, image, -10 * torch.log10(error.clamp_min(1e-10)))
