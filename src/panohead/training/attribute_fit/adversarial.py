"""Adversarial loss beside the regression, for what averages of colors cannot give (strands, eyelids, the iris).

The tri-discriminator (PanoHead 3.2) sees patches of rendered views and the *same* patches of the true views, with the
relativistic logistic loss of R3GAN (Huang et al. 2024, equation 2): a pair shows one person from one camera, so the
discriminator can only tell realism apart, not who is shown. R1 and R2 (equation 4) penalize its gradients at both.

Pairs also allow feature matching (pix2pixHD, Wang et al. 2018, equation 3): L1 between the discriminator's features of
both, a perceptual loss whose network is trained here.

The generator gets the gradient at the images, scaled to a share of the regression's gradient there (the adaptive weight
of VQGAN, Esser et al. 2021, equation 7, taken at the image instead of the last layer): the balance holds through
training, and the discriminator is back-propagated once.
"""

from dataclasses import dataclass
from typing import Annotated, Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from panohead.limits import NumberRange
from panohead.models.discriminator import Discriminator, DiscriminatorConfig
from panohead.system.bounds import Bounded, Natural, NotNegative, Width
from panohead.training.attribute_fit.images import ImageBatch, RenderedPatches, color_loss
from panohead.training.losses import DiscriminatorInput

FINE_LOSSES = ("surface_color", "raw", "raw_detail", "image", "image_detail")
"""Losses of single pixels and points."""

_COARSE = 8
"""Pixels per side over which the coarse loss averages."""

_SCALE_DECAY = 0.98
"""Decay of the running ratio of gradient norms: single batches differ by factors of two."""


@dataclass(frozen=True, kw_only=True)
class AdversarialConfig(Bounded):
    """Settings of the adversarial loss.

    Attributes:
        share: norm of the adversarial gradient at the image, relative to that of the regression.
        fine_share: factor of the regression's weights for single pixels and points (the losses of :data:`FINE_LOSSES`):
            what attributes do not determine is averaged away by them. ``coarse_weight`` is the weight of the color
            averaged over 8 x 8 pixels, which they do determine, instead.
        points_per_view: pixels per view whose points are supervised: shapes are known by then.
        feature_weight: weight of the distance of the discriminator's features beside the logistic loss.
        learning_rate: Adam's, of the discriminator.
        penalty: gamma of R1 and R2.
        interval: steps between penalties (lazy regularization, StyleGAN2 3.1).
        channel_base, channel_max: widths of the discriminator.
    """

    share: NotNegative = 1.5
    fine_share: NotNegative = 0.2
    coarse_weight: NotNegative = 4.0
    points_per_view: Annotated[int, NumberRange(0, 4096)] = 96
    feature_weight: NotNegative = 0.5
    learning_rate: NotNegative = 1e-3
    penalty: NotNegative = 1.0
    interval: Natural = 8
    channel_base: Annotated[int, NumberRange(1, 2**20)] = 2048
    channel_max: Width = 128


@dataclass(frozen=True)
class AdversarialTerm:
    """Term of the generator step, of which only the gradient has a meaning; ``values`` are figures for the log."""

    surrogate: Float[Tensor, ""]
    values: dict[str, float]


class AdversarialLoss:
    """Discriminator of patches with its optimizer; resumable.

    Args:
        patch: pixels per side of the patches.
        device: device of the discriminator.
    """

    def __init__(self, config: AdversarialConfig, *, patch: int, device: str = "cpu") -> None:
        self.config = config
        # Camera and position of the patch; no minibatch statistics: fakes are paired with their own reals.
        self.discriminator = Discriminator(
            DiscriminatorConfig(
                resolution=patch,
                label_dim=27,
                channel_base=config.channel_base,
                channel_max=config.channel_max,
                num_fp16_resolutions=0,
                conv_clamp=None,
                mapping_layers=2,
                mbstd_num_channels=0,
            )
        ).to(device)
        # Without momentum, as StyleGAN2's (appendix B).
        self.optimizer = torch.optim.Adam(self.discriminator.parameters(), lr=config.learning_rate, betas=(0.0, 0.99))
        self.scale: float | None = None
        self.step_count = 0

    def discriminator_step(self, rendered: RenderedPatches, batch: ImageBatch) -> dict[str, float]:
        """Update the discriminator with one batch of pairs: softplus(D(fake) - D(real)), and lazily R1 and R2."""
        fake, real = fake_patches(rendered, batch), real_patches(batch)
        self.discriminator.requires_grad_(True)
        self.optimizer.zero_grad(set_to_none=True)
        with_penalty = self.step_count % self.config.interval == 0
        fake_logits, fake_penalty = self._logits(fake, with_penalty)
        real_logits, real_penalty = self._logits(real, with_penalty)
        loss = F.softplus(fake_logits - real_logits).mean()
        total = loss + self.config.interval * self.config.penalty / 2 * (fake_penalty + real_penalty)
        total.backward()
        self.optimizer.step()
        self.discriminator.requires_grad_(False)
        self.step_count += 1
        values = {
            "discriminator": float(loss.detach()),
            "logit_gap": float((real_logits - fake_logits).mean().detach()),
        }
        return values | ({"r1": float(real_penalty.detach())} if with_penalty else {})

    def _logits(self, inputs: DiscriminatorInput, with_penalty: bool) -> tuple[Tensor, Tensor]:
        """Return logits and the mean squared norm of their gradients at the inputs (0 without penalty)."""
        leaves = inputs.leaves(requires_grad=with_penalty)
        logits = leaves.logits(self.discriminator)
        if not with_penalty:
            return logits, logits.new_zeros(())
        gradients = torch.autograd.grad(logits.sum(), leaves.differentiable, create_graph=True)
        return logits, torch.stack([g.square().sum(dim=(1, 2, 3)).mean() for g in gradients]).sum()

    def generator_term(
        self, rendered: RenderedPatches, batch: ImageBatch, regression: Float[Tensor, ""]
    ) -> AdversarialTerm:
        """Return the generator's term: softplus(D(real) - D(fake)) and feature matching, at a share of the regression.

        Args:
            regression: weighted regression loss of the super-resolved image; its gradient there sets the scale.
        """
        fake = fake_patches(rendered, batch)
        leaves = fake.leaves()
        with torch.no_grad():
            real_logits, real_features = self._logits_and_features(real_patches(batch))
        fake_logits, fake_features = self._logits_and_features(leaves)
        logistic = F.softplus(real_logits - fake_logits).mean()
        matching = torch.stack([F.l1_loss(a, b) for a, b in zip(fake_features, real_features, strict=True)]).mean()
        gradients = torch.autograd.grad(logistic + self.config.feature_weight * matching, leaves.differentiable)
        (at_image,) = torch.autograd.grad(regression, rendered.image, retain_graph=True)
        ratio = float(at_image.norm() / gradients[0].norm().clamp_min(1e-12))
        self.scale = ratio if self.scale is None else _SCALE_DECAY * self.scale + (1 - _SCALE_DECAY) * ratio
        scale = self.config.share * self.scale
        products = [(scale * g * x).sum() for g, x in zip(gradients, fake.differentiable, strict=True)]
        return AdversarialTerm(
            torch.stack(products).sum(),
            {
                "adversarial": float(logistic.detach()),
                "features": float(matching.detach()),
                "adversarial_scale": scale,
            },
        )

    def _logits_and_features(self, inputs: DiscriminatorInput) -> tuple[Tensor, list[Tensor]]:
        """Return logits and the output of every block of the discriminator's trunk."""
        features: list[Tensor] = []
        hooks = [
            block.register_forward_hook(lambda _, __, output: features.append(output[0]))
            for block in self.discriminator.blocks.values()
        ]
        logits = inputs.logits(self.discriminator)
        for hook in hooks:
            hook.remove()
        return logits, features

    def state_dict(self) -> dict[str, Any]:
        """Return everything that the next steps depend on."""
        return {
            "discriminator": self.discriminator.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scale": self.scale,
            "step_count": self.step_count,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Resume exactly from a ``state_dict``."""
        self.discriminator.load_state_dict(state["discriminator"])
        self.optimizer.load_state_dict(state["optimizer"])
        for group in self.optimizer.param_groups:
            group["lr"] = self.config.learning_rate  # not what it was then
        self.scale, self.step_count = state["scale"], state["step_count"]


def coarse_loss(rendered: RenderedPatches, batch: ImageBatch) -> Float[Tensor, ""]:
    """Return the mean loss of colors averaged over 8 x 8 pixels, of the super-resolved and of the raw image."""
    raw, _ = batch.at_rays()
    rays = _COARSE * raw.shape[-1] // batch.image.shape[-1]
    pairs = ((rendered.image, batch.image, _COARSE), (rendered.image_raw, raw, rays))
    return torch.stack([color_loss(*(F.avg_pool2d(x, n) for x in pair)).mean() for *pair, n in pairs]).mean()


def fake_patches(rendered: RenderedPatches, batch: ImageBatch) -> DiscriminatorInput:
    """Return rendered patches as the discriminator's inputs."""
    return DiscriminatorInput(rendered.image, rendered.image_raw, rendered.weights, _label(batch, rendered.image_raw))


def real_patches(batch: ImageBatch) -> DiscriminatorInput:
    """Return the true patches as the discriminator's inputs, raw image and mask at the resolution of the rays."""
    raw, mask = batch.at_rays()
    return DiscriminatorInput(batch.image, raw, mask, _label(batch, raw))


def _label(batch: ImageBatch, raw: Tensor) -> Float[Tensor, "head 27"]:
    # Patch positions from 0 to about 1, the range of the label's rotation.
    return torch.cat([batch.labels, batch.offsets / raw.shape[-1]], dim=1)
