"""Augmentation of what the discriminator is shown (ADA, Karras et al. 2020), for the tri-discriminator.

The official PanoHead never supported augmentation, so how its three inputs are augmented together is our design:
picture, raw picture and mask of a sample undergo the *same* geometric transform, each at its own resolution, because
the discriminator compares them pixel by pixel; picture and raw picture undergo the same colour transform; the mask,
which is a weight and not a colour, undergoes none. Beyond the edges all three are reflected, so that a mask still
covers the head that is seen. Cameras stay as they are: what is drawn does not depend on them, and photos and generated
heads are augmented alike, so the generator is asked for the same heads as without (the paper's section 2: not leaking).

Pictures are differentiated once through the augmentation (the generator's loss). The R1 penalty is to be taken at the
*augmented* pictures, made leaves there, as the paper does; the second derivative of the warp is neither needed nor
promised.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from panohead.training.augmentation.config import AugmentConfig, TransformMultipliers, TransformStrengths
from panohead.training.augmentation.probability import AdaptiveProbability
from panohead.training.augmentation.transforms import color_matrices, geometric_matrices
from panohead.training.augmentation.warp import warp

__all__ = ["AdaptiveProbability", "AugmentConfig", "TransformMultipliers", "TransformStrengths", "augment"]


def augment(
    image: Float[Tensor, "batch 3 out_size out_size"],
    image_raw: Float[Tensor, "batch 3 size size"],
    mask: Float[Tensor, "batch 1 size size"],
    *,
    probability: float,
    config: AugmentConfig,
    generator: torch.Generator,
) -> tuple[
    Float[Tensor, "batch 3 out_size out_size"], Float[Tensor, "batch 3 size size"], Float[Tensor, "batch 1 size size"]
]:
    """Each sample under its own random transform; samples that draw none pass unchanged, to the bit.

    Args:
        image, image_raw: about [-1, 1]; may leave the range, as colours are not clamped (nor are they in the paper).
        mask: foreground weight, [0, 1]; where it is warped, hard edges ring (about -0.15 to 1.15).
            Not clamped either, which keeps its gradient.
        probability: of every transform; at 0 the very tensors given are returned and nothing is drawn.
        config: ``config.probability`` is not looked at here.
        generator: on the device of the pictures.

    Returns:
        Picture, raw picture and mask in the shapes and types given. Computed in fp32 at least.
    """
    if probability <= 0:
        return image, image_raw, mask
    batch, _, size, _ = image_raw.shape
    places = geometric_matrices(batch, size, probability=probability, config=config, generator=generator)
    colors = color_matrices(batch, probability=probability, config=config, generator=generator)
    moved = _drawn(places)
    if len(moved) > 0:
        image = _move(image, places, moved)
        small = _move(torch.cat([image_raw, mask.to(image_raw.dtype)], dim=1), places, moved)
        image_raw, mask = small[:, :3], small[:, 3:].to(mask.dtype)
    if len(_drawn(colors)) > 0:
        image, image_raw = _recolor(image, colors), _recolor(image_raw, colors)
    return image, image_raw, mask


def _drawn(matrices: Float[Tensor, "batch size size"]) -> Tensor:
    """The samples whose transform does anything."""
    same = torch.eye(matrices.shape[-1], device=matrices.device)
    return (matrices != same).flatten(1).any(dim=1).nonzero()[:, 0]


def _move(
    x: Float[Tensor, "batch channel size size"], places: Float[Tensor, "batch 3 3"], moved: Tensor
) -> Float[Tensor, "batch channel size size"]:
    precise = torch.promote_types(x.dtype, torch.float32)
    return x.index_copy(0, moved, warp(x[moved].to(precise), places[moved]).to(x.dtype))


def _recolor(
    x: Float[Tensor, "batch 3 height width"], colors: Float[Tensor, "batch 4 4"]
) -> Float[Tensor, "batch 3 height width"]:
    """Colours times their matrices, by channels: a matrix product might be rounded to TF32 or bf16."""
    mix = colors.to(torch.promote_types(x.dtype, torch.float32))[:, :3, :, None, None]
    red, green, blue = x.split(1, dim=1)
    return (mix[:, :, 0] * red + mix[:, :, 1] * green + mix[:, :, 2] * blue + mix[:, :, 3]).to(x.dtype)
