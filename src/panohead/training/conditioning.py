"""What a generated head is told about cameras, and whose background it stands before (paper section 3.2; facts 5).

A head that knows the camera it is seen from can cheat: it may turn its face along. Therefore the conditioning camera is
swapped for a neighbour's with some probability (EG3D's generator pose conditioning). Backgrounds are swapped among
samples alike, so that head and background do not come to depend on each other.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from panohead.randomness import NoiseMode, RenderRandomness


@dataclass(frozen=True, kw_only=True)
class LossRandomness(RenderRandomness):
    """The random numbers of one loss: those of its rendering, and of swapping; given, or drawn (None).

    Attributes:
        pose_swap: uniform [0, 1), one per sample.
        background_swap: uniform [0, 1), one per sample.
        noise_mode: as of :class:`RenderRandomness`; the original trains with "random".
    """

    pose_swap: Float[Tensor, " batch"] | None = None
    background_swap: Float[Tensor, " batch"] | None = None
    noise_mode: NoiseMode = "random"


def conditioning_label(
    label: Float[Tensor, "batch 25"], swap_probability: float | None, draw: Float[Tensor, " batch"]
) -> Float[Tensor, "batch 25"]:
    """The labels that mapping sees: the sample's own, or its neighbour's where ``draw`` is below the probability.

    Args:
        swap_probability: None gives zeros: the heads know no camera at all.
        draw: uniform [0, 1) per sample; equal numbers decide for the whole batch at once.
    """
    if swap_probability is None:
        return torch.zeros_like(label)
    return torch.where((draw < swap_probability)[:, None], label.roll(1, dims=0), label)


def background_ws(
    ws: Float[Tensor, "batch num_ws w_dim"], swap_probability: float, draw: Float[Tensor, " batch"]
) -> Float[Tensor, "batch num_ws w_dim"]:
    """The ws that the background is made from: the head's own, or its neighbour's where ``draw`` is below."""
    return torch.where((draw < swap_probability)[:, None, None], ws.roll(1, dims=0), ws)
