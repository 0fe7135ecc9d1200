"""The adversarial game (paper section 3.2; facts section 5): generator, discriminator and R1 penalty.

Everything here computes; nothing calls ``backward``, steps an optimiser or remembers. Networks are expected in training
mode. Quirks of the original that change numbers are kept and marked "kept".
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor

from panohead.geometry.camera import Camera, translate_label
from panohead.models.discriminator import Discriminator
from panohead.models.generator import Generator, Rendering
from panohead.ops.pixels import image_from_uint8, mask_from_uint8
from panohead.ops.resample import fir_filter
from panohead.ops.resize import ResizeMode, filtered_resizing, gaussian_blur
from panohead.training.conditioning import LossRandomness, background_ws, conditioning_label
from panohead.training.regularizers import camera_offset_penalty
from panohead.training.schedules import Scheduled


@dataclass(frozen=True, kw_only=True)
class LossConfig:
    """Weights of the game. The defaults are the official first stage.

    Attributes:
        r1_gamma: of the R1 penalty on picture and raw picture.
        r1_gamma_mask: of the R1 penalty on the mask.
        camera_offset_weight: of the camera's self-adaptation (official: trans_reg).
        background_swap_probability: that a head stands before its neighbour's background (official: bcg_reg_prob).
        resize_mode: how real pictures and masks are brought to the neural resolution.
    """

    r1_gamma: float = 1.0
    r1_gamma_mask: float = 1.0
    camera_offset_weight: float = 10.0
    background_swap_probability: float = 0.2
    resize_mode: ResizeMode = "antialiased"


@dataclass(frozen=True)
class RealBatch:
    """Real photos at the picture's size.

    Attributes:
        image: [-1, 1].
        mask: foreground weight, [0, 1].
        label: cameras.
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
        """What the dataset holds, in the networks' ranges: x / 127.5 - 1 and x / 255."""
        return RealBatch(image_from_uint8(image), mask_from_uint8(mask), label)


@dataclass(frozen=True)
class DiscriminatorInput:
    """What the discriminator is shown: picture and raw picture about [-1, 1], mask about [0, 1], cameras."""

    image: Float[Tensor, "batch 3 out_height out_width"]
    image_raw: Float[Tensor, "batch 3 height width"]
    mask: Float[Tensor, "batch 1 height width"]
    label: Float[Tensor, "batch 25"]

    def logits(self, discriminator: Discriminator) -> Float[Tensor, "batch 1"]:
        """The discriminator's logits; larger is more real."""
        return discriminator(self.image, self.image_raw, self.mask, self.label)


Augment = Callable[[DiscriminatorInput], DiscriminatorInput]
"""What is done to pictures just before they are judged (ADA); labels stay."""


def no_augmentation(batch: DiscriminatorInput) -> DiscriminatorInput:
    """No augmentation."""
    return batch


@dataclass(frozen=True)
class GeneratorLoss:
    """``loss`` is what is minimised, the rest is for reports; ``adversarial`` is per sample, the penalty unweighted."""

    loss: Float[Tensor, ""]
    logits: Float[Tensor, "batch 1"]
    adversarial: Float[Tensor, "batch 1"]
    camera_offset_penalty: Float[Tensor, ""]


@dataclass(frozen=True)
class DiscriminatorLoss:
    """One half of the discriminator's loss; ``adversarial`` is per sample."""

    loss: Float[Tensor, ""]
    logits: Float[Tensor, "batch 1"]
    adversarial: Float[Tensor, "batch 1"]


@dataclass(frozen=True)
class R1Loss:
    """Gradient penalty. ``image_penalty`` and ``mask_penalty`` are squared norms per sample, without gamma."""

    loss: Float[Tensor, ""]
    logits: Float[Tensor, "batch 1"]
    image_penalty: Float[Tensor, " batch"]
    mask_penalty: Float[Tensor, " batch"]


def render_heads(
    generator: Generator,
    z: Float[Tensor, "batch z_dim"],
    label: Float[Tensor, "batch 25"],
    scheduled: Scheduled,
    config: LossConfig,
    randomness: LossRandomness,
    *,
    update_w_avg: bool = False,
) -> tuple[Rendering, Float[Tensor, "batch 3"]]:
    """Heads seen from ``label``, as training makes them, and the camera offsets they asked for.

    Mapping is conditioned on swapped labels; the camera's self-adaptation on the true ones.
    """
    swap = randomness.uniform(randomness.pose_swap, (len(z),), z)
    ws = generator.mapping(
        z, conditioning_label(label, scheduled.pose_swap_probability, swap), update_w_avg=update_w_avg
    )
    swap = randomness.uniform(randomness.background_swap, (len(z),), z)
    ws_background = background_ws(ws, config.background_swap_probability, swap)
    offset = generator.align_camera(z, label, update_w_avg=update_w_avg)
    rendering = generator.render_view(
        generator.field(ws, randomness),
        ws,
        Camera.from_label(translate_label(label, offset)),
        resolution=scheduled.neural_resolution,
        randomness=randomness,
        ws_background=ws_background,
        density_noise=scheduled.density_noise,
    )
    return rendering, offset


def fake_inputs(rendering: Rendering, label: Float[Tensor, "batch 25"], scheduled: Scheduled) -> DiscriminatorInput:
    """Generated heads before the discriminator, with the cameras as asked for: neither swapped nor moved.

    Kept: while the blur fades, the picture is blurred and the raw picture is not, though that of photos is.
    """
    return DiscriminatorInput(
        gaussian_blur(rendering.image, scheduled.blur_sigma), rendering.image_raw, rendering.mask, label
    )


def real_inputs(photos: RealBatch, scheduled: Scheduled, config: LossConfig) -> DiscriminatorInput:
    """Photos before the discriminator: a raw picture and a mask at neural resolution, both pictures blurred.

    Kept: picture and raw picture are blurred with the same sigma, each in its own pixels. Masks never are.
    """
    resample_filter = fir_filter().to(photos.image.device)
    raw, mask = (
        filtered_resizing(x, scheduled.neural_resolution, resample_filter=resample_filter, mode=config.resize_mode)
        for x in (photos.image, photos.mask)
    )
    sigma = scheduled.blur_sigma
    return DiscriminatorInput(gaussian_blur(photos.image, sigma), gaussian_blur(raw, sigma), mask, photos.label)


def generator_loss(
    generator: Generator,
    discriminator: Discriminator,
    z: Float[Tensor, "batch z_dim"],
    label: Float[Tensor, "batch 25"],
    scheduled: Scheduled,
    config: LossConfig | None = None,
    randomness: LossRandomness | None = None,
    augment: Augment = no_augmentation,
) -> GeneratorLoss:
    """The generator's main loss: mean softplus(-D(fake)) plus the weighted camera offset penalty.

    Args:
        z: standard normal.
        label: cameras of random items of the dataset, which render; the conditioning ones are drawn among them.
        draws: the random numbers; None draws all.
    """
    config, randomness = config or LossConfig(), randomness or LossRandomness()
    rendering, offset = render_heads(generator, z, label, scheduled, config, randomness)
    logits = augment(fake_inputs(rendering, label, scheduled)).logits(discriminator)
    adversarial = F.softplus(-logits)
    penalty = camera_offset_penalty(offset)
    return GeneratorLoss(adversarial.mean() + config.camera_offset_weight * penalty, logits, adversarial, penalty)


def discriminator_fake_loss(
    generator: Generator,
    discriminator: Discriminator,
    z: Float[Tensor, "batch z_dim"],
    label: Float[Tensor, "batch 25"],
    scheduled: Scheduled,
    config: LossConfig | None = None,
    randomness: LossRandomness | None = None,
    augment: Augment = no_augmentation,
) -> DiscriminatorLoss:
    """Mean softplus(D(fake)). This is the phase that moves the running means of w (both mapping networks)."""
    config, randomness = config or LossConfig(), randomness or LossRandomness()
    with torch.no_grad():
        rendering, _ = render_heads(generator, z, label, scheduled, config, randomness, update_w_avg=True)
        batch = augment(fake_inputs(rendering, label, scheduled))
    logits = batch.logits(discriminator)
    adversarial = F.softplus(logits)
    return DiscriminatorLoss(adversarial.mean(), logits, adversarial)


def discriminator_real_loss(
    discriminator: Discriminator,
    photos: RealBatch,
    scheduled: Scheduled,
    config: LossConfig | None = None,
    augment: Augment = no_augmentation,
) -> DiscriminatorLoss:
    """Mean softplus(-D(real)). The original runs both halves of the loss back one after the other."""
    logits = augment(real_inputs(photos, scheduled, config or LossConfig())).logits(discriminator)
    adversarial = F.softplus(-logits)
    return DiscriminatorLoss(adversarial.mean(), logits, adversarial)


def r1_loss(
    discriminator: Discriminator,
    photos: RealBatch,
    scheduled: Scheduled,
    config: LossConfig | None = None,
    augment: Augment = no_augmentation,
) -> R1Loss:
    """R1: gamma / 2 times the squared gradient of the logit at real photos (Mescheder et al. 2018), mean over samples.

    Run lazily: every k-th step, multiplied by k (official: 16), see :mod:`panohead.training.optimizers`. Picture, raw
    picture and mask are separate inputs: no gradient flows from the raw picture into the picture.
    Kept: while the blur fades, the gradient is that at the *blurred* picture. Likewise at the augmented one.
    """
    config = config or LossConfig()
    batch = augment(real_inputs(photos, scheduled, config))
    image, raw, mask = inputs = [x.detach().requires_grad_() for x in (batch.image, batch.image_raw, batch.mask)]
    logits = DiscriminatorInput(image, raw, mask, batch.label).logits(discriminator)
    # Discriminators that do not look at the raw picture or the mask have no gradient there.
    gradients = torch.autograd.grad(logits.sum(), inputs, create_graph=True, allow_unused=True, materialize_grads=True)
    image_norm, raw_norm, mask_norm = (gradient.square().sum(dim=(1, 2, 3)) for gradient in gradients)
    image_penalty = image_norm + raw_norm
    penalty = config.r1_gamma / 2 * image_penalty + config.r1_gamma_mask / 2 * mask_norm
    return R1Loss(penalty.mean(), logits, image_penalty, mask_norm)
