"""The background: a 2-D image of features behind the head (paper section 3.2, foreground-aware tri-discrimination)."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from panohead.ops.resize import resize_bilinear
from panohead.stylegan.synthesis import SynthesisConfig, SynthesisNetwork
from panohead.stylegan.synthesis_layers import PixelNoise


class Background(nn.Module):
    """A synthesis network of its own, driven by the head's w or by that of another head."""

    def __init__(self, config: SynthesisConfig, *, w_dim: int) -> None:
        super().__init__()
        self.synthesis = SynthesisNetwork(config, w_dim=w_dim)

    @property
    def num_ws(self) -> int:
        """Rows of ws that are read."""
        return self.synthesis.num_ws

    def forward(
        self, ws: Float[Tensor, "batch num_ws w_dim"], *, noise: PixelNoise
    ) -> Float[Tensor, "batch channel height width"]:
        """Features at the network's own resolution. Missing rows of ws repeat the last; extra rows are not read."""
        missing = self.num_ws - ws.shape[1]
        if missing > 0:
            ws = torch.cat([ws, ws[:, -1:].expand(-1, missing, -1)], dim=1)
        return self.synthesis(ws[:, : self.num_ws], noise=noise)


def composite_over(
    foreground: Float[Tensor, "batch channel height width"],
    weight_sum: Float[Tensor, "batch 1 height width"],
    background: Float[Tensor, "batch channel back_height back_width"],
    *,
    antialias: bool,
) -> Float[Tensor, "batch channel height width"]:
    """Composite: foreground + (1 - weight) * background; the foreground is already premultiplied."""
    resized = resize_bilinear(background, foreground.shape[-1], antialias=antialias)
    return foreground + (1 - weight_sum) * resized
