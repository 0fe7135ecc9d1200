"""Perceptual distance of images of heads: how differently the network that knows heads sees them."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from panohead.errors import PanoHeadError
from panohead.perceptual.head_parts import FEATURES, HeadParts
from panohead.perceptual.head_parts_file import load_head_parts

LAYERS = ("fine", "middle", "coarse", "context", "decoded_fine")
"""Layers that are compared by default, from texture to meaning."""
_FAINT = 1e-2
"""Squared length of a feature vector below which it fades to zero instead of being normalized."""


class PartsDistance(nn.Module):
    """Mean squared difference of normalized features (as LPIPS, Zhang et al. 2018, without learned weights).

    The features are those of :class:`HeadParts`, trained on synthetic heads alone: no license but the package's. A
    missing eye weighs several times as much as a change of light of the same squared error. Differentiable in both
    images.

    Args:
        network: network of features; None for the bundled one.
        layers: names of the layers that count, all alike; see :data:`panohead.perceptual.head_parts.FEATURES`.

    Raises:
        PanoHeadError: for a layer that does not exist or none at all, or when the bundled network cannot be read.
    """

    def __init__(self, network: HeadParts | None = None, layers: Sequence[str] = LAYERS) -> None:
        super().__init__()
        unknown = [name for name in layers if name not in FEATURES]
        if unknown or not layers:
            raise PanoHeadError(
                f"there is no layer {unknown[0]!r}; give some of {', '.join(FEATURES)}"
                if unknown
                else "no layer is named; give one or more"
            )
        self.network = load_head_parts() if network is None else network
        self.layers = tuple(layers)

    def forward(
        self,
        images: Float[Tensor, "image 3 height width"],
        targets: Float[Tensor, "image 3 height width"],
        weight: Float[Tensor, "image 1 height width"] | None = None,
    ) -> Float[Tensor, "image"]:
        """Return the distance of each image from its target, 0 (the same) to 4.

        Args:
            images, targets: [-1, 1], of any size (the network sees 128 x 128); the head as in the official frame.
            weight: share of each pixel in the mean, not negative; None for all alike.
        """
        return self.between(self.features(images), self.features(targets), weight)

    def features(self, images: Float[Tensor, "image 3 height width"]) -> list[Tensor]:
        """Return the normalized features of the layers; for targets that are compared many times."""
        found = self.network.features(images)
        return [_normalized(found[name]) for name in self.layers]

    def between(
        self,
        features: Sequence[Tensor],
        targets: Sequence[Tensor],
        weight: Float[Tensor, "image 1 height width"] | None = None,
    ) -> Float[Tensor, "image"]:
        """Return the distance of images whose :meth:`features` are known."""
        total = torch.zeros(len(features[0]), device=features[0].device)
        for found, wanted in zip(features, targets, strict=True):
            squared = (found - wanted).square().sum(dim=1)
            if weight is None:
                total = total + squared.mean(dim=(1, 2))
            else:
                share = F.interpolate(weight, squared.shape[-2:], mode="area")[:, 0]
                total = total + (squared * share).sum(dim=(1, 2)) / share.sum(dim=(1, 2)).clamp_min(1e-6)
        return total / len(features)


def _normalized(x: Float[Tensor, "image channel height width"]) -> Float[Tensor, "image channel height width"]:
    # No root of zero, whose gradient would be infinite.
    return x * (x.square().sum(dim=1, keepdim=True) + _FAINT).rsqrt()
