"""Generator pose conditioning (EG3D 4.4) and background swapping (PanoHead 3.2); docs/reference.md 5.3.

A generator that knows the rendering camera can turn the face toward it. Therefore the conditioning camera is replaced
by that of the sample's neighbor in the batch with some probability. Backgrounds are swapped in the same way, so that
head and background do not come to depend on each other.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from panohead.randomness import NoiseMode, RenderRandomness


@dataclass(frozen=True, kw_only=True)
class LossRandomness(RenderRandomness):
    """Random numbers of one loss: those of its rendering, and of swapping; those that are None are drawn.

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
    """Return the labels that mapping is conditioned on: a sample's own, or its neighbor's where it is swapped.

    Args:
        label: rendering cameras.
        swap_probability: probability of a swap; None to condition on no camera, a label of zeros.
        draw: uniform [0, 1) per sample; a sample is swapped where it is below the probability.
    """
    if swap_probability is None:
        return torch.zeros_like(label)
    # A neighbor's camera, not a random one, so that conditioning and rendering cameras have the same distribution.
    return torch.where((draw < swap_probability)[:, None], label.roll(1, dims=0), label)


def background_ws(
    ws: Float[Tensor, "batch num_ws w_dim"], swap_probability: float, draw: Float[Tensor, " batch"]
) -> Float[Tensor, "batch num_ws w_dim"]:
    """Return the ws of the backgrounds: a sample's own, or its neighbor's where ``draw`` is below the probability."""
    # Rolled like the labels but drawn independently: sample i may get the background of sample i - 1.
    return torch.where((draw < swap_probability)[:, None, None], ws.roll(1, dims=0), ws)
