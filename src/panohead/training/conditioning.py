"""What a generated head is told about cameras, and whose background it stands before (paper section 3.2; facts 5).

A head that knows the camera it is seen from can cheat: it may turn its face along. Therefore the conditioning camera is
swapped for a neighbour's with some probability (EG3D's generator pose conditioning). Backgrounds are swapped among
samples alike, so that head and background do not come to depend on each other.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from panohead.rendering.renderer import standard_normal
from panohead.stylegan.synthesis_layers import NoiseMode, PixelNoise


@dataclass(frozen=True, kw_only=True)
class LossRandomness:
    """The random numbers of one loss: given, or drawn (None) from ``generator``.

    Attributes:
        pose_swap: uniform [0, 1), one per sample.
        background_swap: uniform [0, 1), one per sample.
        ray_jitter, importance_u: the renderer's, see :class:`panohead.rendering.renderer.RayRandomness`.
        noise_mode: of the layers' pixel noise; the original trains with "random".
        generator: of everything not given, density noise included; None for torch's default one.
    """

    pose_swap: Float[Tensor, " batch"] | None = None
    background_swap: Float[Tensor, " batch"] | None = None
    ray_jitter: Float[Tensor, "batch ray sample"] | float | None = None
    importance_u: Float[Tensor, "batch_ray sample"] | float | None = None
    noise_mode: NoiseMode = "random"
    generator: torch.Generator | None = None

    def pixel_noise(self) -> PixelNoise:
        """How the layers draw their noise maps."""
        return PixelNoise(mode=self.noise_mode, generator=self.generator)

    def uniform(self, given: Tensor | None, shape: tuple[int, ...], like: Tensor) -> Tensor:
        """``given``, or new uniform numbers in [0, 1)."""
        if given is not None:
            return given
        return torch.rand(shape, device=like.device, dtype=like.dtype, generator=self.generator)

    def normal(self, given: Tensor | None, like: Tensor) -> Tensor:
        """``given``, or new standard-normal numbers in the shape of ``like``."""
        return standard_normal(like, self.generator) if given is None else given


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
