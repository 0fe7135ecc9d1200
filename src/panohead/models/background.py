"""The background: a 2-D image of features behind the head (PanoHead section 3.2; docs/reference.md 3.11)."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from panohead.ops.resize import resize_bilinear
from panohead.randomness import RenderRandomness
from panohead.stylegan.synthesis import SynthesisConfig, SynthesisNetwork


class Background(nn.Module):
    """A synthesis network of its own, driven by the head's w or by that of another head."""

    def __init__(self, config: SynthesisConfig, *, w_dim: int) -> None:
        super().__init__()
        self.synthesis = SynthesisNetwork(config, w_dim=w_dim)

    @property
    def num_ws(self) -> int:
        """Number of rows of ws that the network reads."""
        return self.synthesis.num_ws

    def forward(
        self, ws: Float[Tensor, "batch num_ws w_dim"], *, randomness: RenderRandomness | None = None
    ) -> Float[Tensor, "batch channel height width"]:
        """Return features at the network's own resolution.

        Args:
            ws: missing rows repeat the last one; extra rows are not read (docs/reference.md 3.11).
            randomness: noise maps of the layers; None takes the stored ones.
        """
        missing = self.num_ws - ws.shape[1]
        if missing > 0:
            # batch num_ws w_dim, the last row standing in for those that a smaller backbone lacks
            ws = torch.cat([ws, ws[:, -1:].expand(-1, missing, -1)], dim=1)
        return self.synthesis(ws[:, : self.num_ws], randomness=randomness)


def composite_over(
    foreground: Float[Tensor, "batch channel height width"],
    weight_sum: Float[Tensor, "batch 1 height width"],
    background: Float[Tensor, "batch channel back_height back_width"],
    *,
    antialias: bool,
) -> Float[Tensor, "batch channel height width"]:
    """Return foreground + (1 - weight) * background, the background resized to the foreground's size.

    Args:
        foreground: features, already premultiplied by the weight.
        weight_sum: foreground weight, [0, 1].
        antialias: low-pass before the resizing.
    """
    # batch channel back_height back_width -> batch channel height width
    resized = resize_bilinear(background, foreground.shape[-1], antialias=antialias)
    return foreground + (1 - weight_sum) * resized
