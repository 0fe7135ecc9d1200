"""The GAN objective: non-saturating logistic losses and R1 (PanoHead 3.1 and 3.2; docs/reference.md 5.3 to 5.6).

A loss takes logits; :func:`render_heads`, :func:`fake_inputs` and :func:`real_inputs` make what the discriminator takes
logits of. :mod:`panohead.training.step` puts them together. Everything here computes; nothing calls ``backward``, steps
an optimizer or holds a state. Networks are expected in training mode. Peculiarities that change numbers are introduced
by "Matches the official code:".
"""

from dataclasses import dataclass
from functools import cache

import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor

from panohead.geometry.camera import Camera, translate_label
from panohead.models.discriminator import Discriminator
from panohead.models.generator import Generator, Rendering
from panohead.ops.pixels import image_from_uint8, mask_from_uint8
from panohead.ops.resample import Filter, fir_filter
from panohead.ops.resize import ResizeMode, filtered_resizing, gaussian_blur
from panohead.system.bounds import Bounded, NotNegative, Share
from panohead.training.conditioning import LossRandomness, background_ws, conditioning_label
from panohead.training.schedules import Scheduled


@dataclass(frozen=True, kw_only=True)
class LossConfig(Bounded):
    """Weights of the losses. The defaults are those of the official first stage (docs/reference.md 5.12).

    Attributes:
        r1_gamma: weight of the R1 penalty on image and raw image.
        r1_gamma_mask: weight of the R1 penalty on the mask.
        camera_offset_weight: weight of the camera offset penalty (official: trans_reg).
        background_swap_probability: probability that a sample gets the background of its neighbor in the batch
            (official: bcg_reg_prob).
        resize_mode: filter that brings real images and masks to the neural resolution.
    """

    r1_gamma: NotNegative = 1.0
    r1_gamma_mask: NotNegative = 1.0
    camera_offset_weight: NotNegative = 10.0
    background_swap_probability: Share = 0.2
    resize_mode: ResizeMode = "antialiased"


@dataclass(frozen=True)
class RealBatch:
    """Photos of a batch at the generator's output resolution.

    Attributes:
        image: colors, [-1, 1].
        mask: foreground weights, [0, 1].
        label: cameras as labels of 25 numbers.
    """

    image: Float[Tensor, "batch 3 height width"]
    mask: Float[Tensor, "batch 1 height width"]
    label: Float[Tensor, "batch 25"]

    @staticmethod
    def from_uint8(
        image: UInt8[Tensor, "batch 3 height width"],
        mask: UInt8[Tensor, "batch 1 height width"],
        label: Float[Tensor, "batch 25"],
    ) -> "RealBatch":
        """Convert the dataset's bytes to the networks' ranges: x / 127.5 - 1 and x / 255 (docs/reference.md 5.1)."""
        return RealBatch(image_from_uint8(image), mask_from_uint8(mask), label)


@dataclass(frozen=True)
class DiscriminatorInput:
    """Inputs of the tri-discriminator: image and raw image about [-1, 1], mask about [0, 1], cameras (PanoHead 3.2).

    ``label`` holds the numbers that condition the discriminator: a camera's 25, for a patch its position too.
    """

    image: Float[Tensor, "batch 3 out_height out_width"]
    image_raw: Float[Tensor, "batch 3 height width"]
    mask: Float[Tensor, "batch 1 height width"]
    label: Float[Tensor, "batch label"]

    @property
    def differentiable(self) -> tuple[Tensor, Tensor, Tensor]:
        """Image, raw image and mask: what gradients are taken at; the label has none."""
        return self.image, self.image_raw, self.mask

    def leaves(self, *, requires_grad: bool = True) -> "DiscriminatorInput":
        """Return the same values as leaves of a new graph: no gradient flows from the raw image into the image."""
        image, raw, mask = (x.detach().requires_grad_(requires_grad) for x in self.differentiable)
        return DiscriminatorInput(image, raw, mask, self.label)

    def logits(self, discriminator: Discriminator) -> Float[Tensor, "head 1"]:
        """Return the discriminator's logits; larger is more real. One a head, whose views are seen together."""
        return discriminator(self.image, self.image_raw, self.mask, self.label)


@dataclass(frozen=True)
class GradientPenalty:
    """Zero-centered gradient penalty at inputs of the discriminator: R1 at photos, R2 at generated heads.

    Attributes:
        loss: mean over the logits of both parts, each times half its gamma.
        image_penalty: squared norms of the gradient in image and raw image, without gamma.
        mask_penalty: squared norms of the gradient in the mask, without gamma.
    """

    loss: Float[Tensor, ""]
    image_penalty: Float[Tensor, " batch"]
    mask_penalty: Float[Tensor, " batch"]


def render_heads(
    generator: Generator,
    z: Float[Tensor, "head z_dim"],
    label: Float[Tensor, "batch 25"],
    scheduled: Scheduled,
    config: LossConfig,
    randomness: LossRandomness,
    *,
    update_w_avg: bool = False,
) -> tuple[Rendering, Float[Tensor, "batch 3"]]:
    """Render generated heads as training does (docs/reference.md 5.3).

    Mapping is conditioned on swapped labels, the camera's self-adaptation on the true ones (PanoHead 3.4).

    Args:
        z: latent codes, standard normal.
        label: cameras of random items of the dataset; they render, and the conditioning ones are drawn among them.
            Several for each head where they are a multiple: all heads' first cameras, then all second ones, and so on;
            the first ones condition. Views of one head share its field, noise included.
        scheduled: neural resolution, swap probability and density noise of the step.
        randomness: all random numbers of the rendering.
        update_w_avg: move the running means of w (both mapping networks); the discriminator step does.

    Returns:
        The rendering, image in about [-1, 1], and the predicted camera offsets in world units.
    """
    swap = randomness.uniform(randomness.pose_swap, (len(z),), z)  # batch
    # Generator pose conditioning (EG3D 4.4): w must not reveal the camera that renders.
    views = label.chunk(len(label) // len(z))  # each: head 25
    ws = generator.mapping(
        z, conditioning_label(views[0], scheduled.pose_swap_probability, swap), update_w_avg=update_w_avg
    )
    # ws: batch num_ws w_dim
    swap = randomness.uniform(randomness.background_swap, (len(z),), z)  # batch
    ws_background = background_ws(ws, config.background_swap_probability, swap)
    # Camera self-adaptation (PanoHead 3.4): a translation in world units predicted from z and the unswapped camera.
    offsets = [generator.align_camera(z, view, update_w_avg=update_w_avg) for view in views]
    field = generator.field(ws, randomness)
    renderings = [
        generator.render_view(
            field,
            ws,
            Camera.from_label(translate_label(view, offset)),
            resolution=scheduled.neural_resolution,
            randomness=randomness,
            ws_background=ws_background,
            density_noise=scheduled.density_noise,
        )
        for view, offset in zip(views, offsets, strict=True)
    ]
    return _joined(renderings), torch.cat(offsets)


def _joined(renderings: list[Rendering]) -> Rendering:
    """Return several batches of views as one."""
    if len(renderings) == 1:
        return renderings[0]
    names = ("image", "image_raw", "depth", "mask", "features", "weights")
    return Rendering(**{name: torch.cat([getattr(one, name) for one in renderings]) for name in names})


def fake_inputs(rendering: Rendering, label: Float[Tensor, "batch 25"], scheduled: Scheduled) -> DiscriminatorInput:
    """Prepare generated heads for the discriminator, with their cameras neither swapped nor offset.

    Matches the official code: while the blur fades, the image is blurred and the raw image is not, though the raw image
    of photos is (docs/reference.md 5.4).

    Args:
        rendering: output of :func:`render_heads`.
        label: the cameras given to :func:`render_heads`.
        scheduled: blur of the step.
    """
    return DiscriminatorInput(
        gaussian_blur(rendering.image, scheduled.blur_sigma), rendering.image_raw, rendering.mask, label
    )


def real_inputs(photos: RealBatch, scheduled: Scheduled, config: LossConfig) -> DiscriminatorInput:
    """Prepare photos for the discriminator: raw image and mask at neural resolution, both images blurred.

    Matches the official code: image and raw image are blurred with the same sigma, each in its own pixels; masks never
    are (docs/reference.md 5.4).

    Args:
        photos: photos at the generator's output resolution.
        scheduled: neural resolution and blur of the step.
        config: filter of the resizing.
    """
    # The photo's counterparts of what the renderer makes: 3 and 1 channels of neural_resolution^2 rays.
    resample_filter = _default_filter(photos.image.device)
    raw, mask = (
        filtered_resizing(x, scheduled.neural_resolution, resample_filter=resample_filter, mode=config.resize_mode)
        for x in (photos.image, photos.mask)
    )
    sigma = scheduled.blur_sigma
    return DiscriminatorInput(gaussian_blur(photos.image, sigma), gaussian_blur(raw, sigma), mask, photos.label)


@cache
def _default_filter(device: torch.device) -> Filter:
    """Return the low-pass on a device, copied there once."""
    return fir_filter().to(device)


def generator_loss(fake_logits: Float[Tensor, "batch 1"]) -> Float[Tensor, "batch 1"]:
    """Return the generator's non-saturating loss per sample, softplus(-D(fake)) = -log sigmoid(D(fake)).

    Of differences D(fake) - D(real) it is the relativistic loss, see :mod:`panohead.training.relativistic`.
    """
    return F.softplus(-fake_logits)


def discriminator_fake_loss(fake_logits: Float[Tensor, "batch 1"]) -> Float[Tensor, "batch 1"]:
    """Return the discriminator's loss per generated head, softplus(D(fake)) = -log(1 - sigmoid(D(fake)))."""
    return F.softplus(fake_logits)


def discriminator_real_loss(real_logits: Float[Tensor, "batch 1"]) -> Float[Tensor, "batch 1"]:
    """Return the discriminator's loss per photo, softplus(-D(real)) = -log sigmoid(D(real))."""
    return F.softplus(-real_logits)


def r1_penalty(discriminator: Discriminator, real: DiscriminatorInput, config: LossConfig) -> GradientPenalty:
    """Compute R1: gamma / 2 times the squared gradient of the logit at real inputs (Mescheder et al. 2018, equation 9).

    Run lazily: every k-th step, multiplied by k (official: 16; StyleGAN2 3.1), see
    :mod:`panohead.training.optimizers`. Image, raw image and mask are separate leaves: no gradient flows from the raw
    image into the image.
    Matches the official code: while the blur fades, the gradient is taken at the *blurred* image. With augmentation it
    is taken at the augmented one.

    Args:
        discriminator: the network; its parameters get the gradient of the penalty.
        real: photos prepared by :func:`real_inputs`, augmented or not.
        config: gammas.
    """
    # Leaves: gradients are taken here, not at the photos before resizing, blur and augmentation.
    inputs = real.leaves()
    return gradient_penalty(inputs.logits(discriminator), inputs, config)


def gradient_penalty(
    logits: Float[Tensor, "head 1"], inputs: DiscriminatorInput, config: LossConfig
) -> GradientPenalty:
    """Compute gamma / 2 times the squared gradient of the logits at their inputs, which must be leaves.

    Args:
        logits: what the discriminator returned for ``inputs``.
        config: gammas.
    """
    # The gradient of the sum holds every sample's own gradient; minibatch statistics mix in a little of the neighbors',
    # as in the original. Discriminators without raw image or mask have no gradient there.
    gradients = torch.autograd.grad(
        logits.sum(), inputs.differentiable, create_graph=True, allow_unused=True, materialize_grads=True
    )
    image_norm, raw_norm, mask_norm = (gradient.square().sum(dim=(1, 2, 3)) for gradient in gradients)  # each: batch
    image_penalty = image_norm + raw_norm
    # Equation 9 with one gamma for the colors and one for the mask.
    penalty = config.r1_gamma / 2 * image_penalty + config.r1_gamma_mask / 2 * mask_norm
    # A logit of several views has the gradients of all of them.
    return GradientPenalty(penalty.sum() / len(logits), image_penalty, mask_norm)
