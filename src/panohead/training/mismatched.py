"""Photos with the camera of another photo as further fakes (the idea of SphereHead, Li et al., ECCV 2024).

A discriminator conditioned on the camera may still accept any good face under any camera; then a generator gains by
faces on backs of heads. SphereHead's view-image consistency loss shows it pairs of image and camera that do not belong
together, to be rejected. Its exact form is not known here; this one takes photos alone, each with the camera of its
neighbor in the micro-batch.
"""

from dataclasses import dataclass, replace
from typing import Annotated

import torch
from jaxtyping import Float
from torch import Tensor

from panohead.geometry.camera import Camera
from panohead.limits import NumberRange
from panohead.models.discriminator import Discriminator
from panohead.system.bounds import Bounded, NotNegative
from panohead.training.losses import DiscriminatorInput, discriminator_fake_loss


@dataclass(frozen=True, kw_only=True)
class MismatchConfig(Bounded):
    """Settings of mismatched pairs.

    Attributes:
        weight: weight of their loss beside that of generated heads.
        min_angle_deg: smallest angle between two cameras, seen from the head, that is a mismatch.
    """

    weight: NotNegative = 1.0
    min_angle_deg: Annotated[float, NumberRange(0, 180)] = 30.0


def mismatched_loss(
    discriminator: Discriminator,
    real: DiscriminatorInput,
    config: MismatchConfig,
    real_logits: Float[Tensor, "head 1"] | None = None,
) -> Float[Tensor, ""]:
    """Return the weighted mean of softplus(D(photo, another's camera)); photos whose neighbor's camera is near count 0.

    Args:
        real: photos with their own cameras.
        real_logits: logits of these, for relativistic training: softplus(D(photo, another's) - D(photo, its own)).
    """
    other = real.label.roll(1, dims=0)
    far = angles_deg(real.label, other) >= config.min_angle_deg  # batch
    # Views of one head are seen together: one wrong camera is enough.
    wrong = far.unflatten(0, (discriminator.config.views, -1)).any(dim=0)[:, None]  # head 1
    logits = replace(real, label=other).logits(discriminator)
    loss = discriminator_fake_loss(logits if real_logits is None else logits - real_logits)
    return config.weight * (loss * wrong).mean()


def angles_deg(first: Float[Tensor, "batch 25"], second: Float[Tensor, "batch 25"]) -> Float[Tensor, " batch"]:
    """Return the angles between two cameras' positions, seen from the origin, [0, 180] degrees."""
    a, b = (torch.nn.functional.normalize(Camera.from_label(label).position, dim=-1) for label in (first, second))
    # The arctangent keeps small angles exact, which the arccosine does not.
    return torch.rad2deg(torch.atan2(torch.linalg.cross(a, b).norm(dim=-1), (a * b).sum(dim=-1)))
