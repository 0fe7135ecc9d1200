"""Augmentation of the tri-discriminator's inputs (ADA, Karras et al. 2020).

The official PanoHead does not support augmentation, so the joint augmentation of the three inputs is our design: image,
raw image and mask of a sample undergo the *same* geometric transform, each at its own resolution, because the
discriminator compares them pixel by pixel; image and raw image undergo the same color transform; the mask, which is a
weight and not a color, undergoes none. Beyond the edges all three are reflected, so that a mask still covers the
visible head. Cameras stay as they are: the random transforms do not depend on them, and photos and generated heads are
augmented alike, so the generator learns the same heads as without (the paper's section 2: augmentations do not leak).

The augmentation can be differentiated once (for the generator's loss). The R1 penalty is taken at the *augmented*
images, made leaves there, as in the paper; second derivatives of the warp are neither needed nor supported.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from panohead.ops.waits import reading_waits
from panohead.training.augmentation.config import AugmentConfig
from panohead.training.augmentation.transforms import color_matrices, geometric_matrices
from panohead.training.augmentation.warp import warp


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
    """Apply an own random transform to each sample; samples that draw none stay unchanged, to the bit.

    Args:
        image, image_raw: about [-1, 1]; may leave the range, as colors are not clamped (nor are they in the paper).
        mask: foreground weight, [0, 1]; where it is warped, hard edges ring (about -0.15 to 1.15).
            Not clamped either, which keeps its gradient.
        probability: probability of every transform, [0, 1]; at 0 the inputs themselves are returned and no random
            number is drawn.
        config: multipliers and strengths of the transforms; ``config.probability`` is not used here.
        generator: source of random numbers on the device of the images.

    Returns:
        Image, raw image and mask in the shapes and types given. Computed in fp32 at least.
    """
    if probability <= 0:
        return image, image_raw, mask
    batch, _, size, _ = image_raw.shape
    # Both sets of matrices are drawn in any case: the count of random numbers does not depend on their values.
    transforms = geometric_matrices(batch, size, probability=probability, config=config, generator=generator)
    colors = color_matrices(batch, probability=probability, config=config, generator=generator)
    warped, recolored = _not_identity(transforms), _not_identity(colors)
    # On a CPU what is the identity is not computed. Elsewhere finding out would wait for the device; there everything
    # is computed, and the identity's results are dropped (warps) or exact (colors times 1).
    known = not reading_waits(image.device)
    if not known or bool(warped.any()):
        image = _warp_some(image, transforms, warped)
        small = torch.cat([image_raw, mask.to(image_raw.dtype)], dim=1)  # batch 4 size size
        small = _warp_some(small, transforms, warped)
        image_raw, mask = small[:, :3], small[:, 3:].to(mask.dtype)
    if not known or bool(recolored.any()):
        image, image_raw = _recolor(image, colors), _recolor(image_raw, colors)
    return image, image_raw, mask


def _not_identity(matrices: Float[Tensor, "batch size size"]) -> Bool[Tensor, " batch"]:
    """Return True for the samples whose transform is not the identity."""
    identity = torch.eye(matrices.shape[-1], device=matrices.device)
    return (matrices != identity).flatten(1).any(dim=1)


def _warp_some(
    x: Float[Tensor, "batch channel size size"], transforms: Float[Tensor, "batch 3 3"], warped: Bool[Tensor, " batch"]
) -> Float[Tensor, "batch channel size size"]:
    """Warp the samples where ``warped`` is true; return a copy with them replaced."""
    precise = torch.promote_types(x.dtype, torch.float32)
    if reading_waits(x.device):
        return torch.where(warped[:, None, None, None], warp(x.to(precise), transforms).to(x.dtype), x)
    some = warped.nonzero()[:, 0]
    return x.index_copy(0, some, warp(x[some].to(precise), transforms[some]).to(x.dtype))


def _recolor(
    x: Float[Tensor, "batch 3 height width"], colors: Float[Tensor, "batch 4 4"]
) -> Float[Tensor, "batch 3 height width"]:
    """Multiply colors by their matrices, channel by channel: a matrix product might be rounded to TF32 or bf16."""
    mix = colors.to(torch.promote_types(x.dtype, torch.float32))[:, :3, :, None, None]  # batch 3 4 1 1
    red, green, blue = x.split(1, dim=1)  # each: batch 1 height width
    return (mix[:, :, 0] * red + mix[:, :, 1] * green + mix[:, :, 2] * blue + mix[:, :, 3]).to(x.dtype)
