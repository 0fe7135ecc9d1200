"""R3GAN's objective: relativistic pairs with R1 and R2, and its schedules (Huang et al., NeurIPS 2024).

Each generated head is compared with a photo: the discriminator lowers softplus(D(fake) - D(real)), the generator
softplus(D(real) - D(fake)) (relativistic pairing, equation 2 there). Both gradient penalties, R1 at photos and R2 at
generated heads, belong to every discriminator step instead of every sixteenth. Of the paper only this is taken: neither
its network architecture nor its absolute rates.
"""

import math
from dataclasses import dataclass
from typing import Annotated

import torch
from jaxtyping import Float
from torch import Tensor

from panohead.limits import NumberRange
from panohead.models.discriminator import Discriminator
from panohead.system.bounds import Bounded, NotNegative, Share
from panohead.training.losses import (
    DiscriminatorInput,
    GradientPenalty,
    LossConfig,
    discriminator_fake_loss,
    gradient_penalty,
)
from panohead.training.schedules import progress


@dataclass(frozen=True, kw_only=True)
class R3ganConfig(Bounded):
    """Schedules of R3GAN: half a cosine over the burn-in, constant afterwards.

    Attributes:
        burn_in_kimg: thousands of photos over which the values change; 0 for the final values at once.
        gamma_initial: factor of ``loss.r1_gamma`` and ``loss.r1_gamma_mask`` at the start; 1 at the end.
        rate_final: factor of both networks' learning rates at the end; 1 at the start.
        beta2_initial: Adam's second decay rate at the start; the optimizers' own one at the end.
    """

    burn_in_kimg: NotNegative = 10_000.0
    gamma_initial: Annotated[float, NumberRange(0, 1000)] = 10.0
    rate_final: Share = 0.25
    beta2_initial: Share = 0.9

    def at(self, nimg: float) -> "R3ganValues":
        """Return the values after ``nimg`` photos."""
        rest = (1 + math.cos(math.pi * progress(nimg, self.burn_in_kimg))) / 2  # 1 at the start, 0 at the end
        return R3ganValues(
            gamma=1 + (self.gamma_initial - 1) * rest,
            rate=self.rate_final + (1 - self.rate_final) * rest,
            burnt_in=1 - rest,
        )


@dataclass(frozen=True)
class R3ganValues:
    """Scheduled values of one step.

    Attributes:
        gamma: factor of the gammas.
        rate: factor of the learning rates.
        burnt_in: share of the way from the first to the last value, [0, 1].
    """

    gamma: float
    rate: float
    burnt_in: float


@dataclass(frozen=True)
class PairedLoss:
    """The discriminator's objective of pairs of generated heads and photos.

    Attributes:
        loss: mean over pairs of ``adversarial``, plus both penalties with their gammas.
        adversarial: softplus(D(fake) - D(real)).
        real_logits, fake_logits: logits of both sides.
        r1, r2: penalties at photos and at generated heads.
    """

    loss: Float[Tensor, ""]
    adversarial: Float[Tensor, "head 1"]
    real_logits: Float[Tensor, "head 1"]
    fake_logits: Float[Tensor, "head 1"]
    r1: GradientPenalty
    r2: GradientPenalty


def paired_loss(
    discriminator: Discriminator,
    fake: DiscriminatorInput,
    real: DiscriminatorInput,
    config: LossConfig,
    values: R3ganValues,
) -> PairedLoss:
    """Compute the discriminator's loss of one micro-batch; its parameters get the gradient, the inputs none.

    Args:
        fake, real: as many generated heads as photos, pairs in order.
        config: gammas at the end of the schedule.
        values: scheduled values of the step.
    """
    fake, real = fake.leaves(), real.leaves()
    fake_logits, real_logits = fake.logits(discriminator), real.logits(discriminator)
    adversarial = discriminator_fake_loss(fake_logits - real_logits)
    r1, r2 = (gradient_penalty(logits, inputs, config) for logits, inputs in ((real_logits, real), (fake_logits, fake)))
    loss = adversarial.mean() + values.gamma * (r1.loss + r2.loss)
    return PairedLoss(loss, adversarial.detach(), real_logits.detach(), fake_logits.detach(), r1, r2)


def set_rates(optimizer: torch.optim.Adam, values: R3ganValues, *, rate: float, beta2: float, initial: float) -> None:
    """Set an optimizer's learning rate and second decay rate for one step.

    Args:
        rate, beta2: the optimizer's own ones.
        initial: second decay rate at the start of the schedule.
    """
    for group in optimizer.param_groups:
        group["lr"] = rate * values.rate
        group["betas"] = (group["betas"][0], initial + (beta2 - initial) * values.burnt_in)
