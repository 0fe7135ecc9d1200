"""How far one picture is from another: a loss without weights, and the original's feature distance."""

from collections.abc import Callable
from typing import Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from panohead.checkpoint import weights_sha256

Distance = Callable[[Float[Tensor, "batch 3 height width"]], Float[Tensor, ""]]
"""From pictures in [-1, 1] to one number, differentiable."""

_MAX_FEATURE_SIDE = 256
_MIN_LEVEL_SIDE = 8
_SSIM_C1, _SSIM_C2 = 0.02**2, 0.06**2


@runtime_checkable
class ImageLoss(Protocol):
    """A loss between pictures.

    Attributes:
        identity: tells it from losses that give other numbers; an interrupted run goes on with the same only.
    """

    @property
    def identity(self) -> str: ...

    def toward(self, target: Float[Tensor, "batch 3 height width"]) -> Distance:
        """The distance to a fixed target."""
        ...


class FeatureLoss:
    """The original's perceptual distance: summed squared difference of features (facts section 7).

    Args:
        features: pictures in 0..255, at most 256 pixels large, to one vector each; for example LPIPS-VGG.
    """

    def __init__(self, features: Callable[[Tensor], Tensor]) -> None:
        self._features = features

    @property
    def identity(self) -> str:
        """The hash of the features' weights, where they are a network."""
        return weights_sha256(self._features) if isinstance(self._features, nn.Module) else repr(type(self._features))

    def toward(self, target: Float[Tensor, "batch 3 height width"]) -> Distance:
        """See :class:`ImageLoss`."""
        with torch.no_grad():
            wanted = self._look(target)
        return lambda image: (self._look(image) - wanted).square().sum()

    def _look(self, image: Tensor) -> Tensor:
        image = (image + 1) * (255 / 2)
        if image.shape[-1] > _MAX_FEATURE_SIDE:
            image = F.interpolate(image, (_MAX_FEATURE_SIDE, _MAX_FEATURE_SIDE), mode="area")
        return self._features(image)


class PyramidLoss:
    """Laplacian-pyramid L1 + gradients + SSIM: a multi-scale loss that needs no weights and no download.

    Every level of the pyramid counts the same, so that placement (coarse) and texture (fine) are both pulled at.

    Args:
        gradient_weight, ssim_weight: beside the pyramid's L1.
    """

    def __init__(self, *, gradient_weight: float = 0.5, ssim_weight: float = 0.2) -> None:
        self._gradient_weight, self._ssim_weight = gradient_weight, ssim_weight

    @property
    def identity(self) -> str:
        """Its weights."""
        return f"pyramid, gradients {self._gradient_weight}, SSIM {self._ssim_weight}"

    def toward(self, target: Float[Tensor, "batch 3 height width"]) -> Distance:
        """See :class:`ImageLoss`."""
        wanted = pyramid(target)

        def distance(image: Tensor) -> Tensor:
            levels = pyramid(image)
            l1 = torch.stack([(a - b).abs().mean() for a, b in zip(levels, wanted, strict=True)]).mean()
            edges = torch.stack(
                [(a - b).abs().mean() for a, b in zip(_gradients(image), _gradients(target), strict=True)]
            ).mean()
            return l1 + self._gradient_weight * edges + self._ssim_weight * (1 - ssim(image, target))

        return distance


def pyramid(image: Float[Tensor, "batch channel height width"]) -> list[Tensor]:
    """Laplacian pyramid: details from fine to coarse, then what is left; their enlarged sum is the picture."""
    levels = []
    while min(image.shape[-2:]) >= 2 * _MIN_LEVEL_SIDE:
        small = F.avg_pool2d(image, 2)
        size = (image.shape[-2], image.shape[-1])
        levels.append(image - F.interpolate(small, size, mode="bilinear", align_corners=False))
        image = small
    return [*levels, image]


def _gradients(image: Tensor) -> tuple[Tensor, Tensor]:
    return image[..., :, 1:] - image[..., :, :-1], image[..., 1:, :] - image[..., :-1, :]


def ssim(
    a: Float[Tensor, "batch channel height width"], b: Float[Tensor, "batch channel height width"]
) -> Float[Tensor, ""]:
    """Structural similarity (Wang et al. 2004) of pictures in [-1, 1], 7 x 7 box windows; 1 for equal pictures."""
    side = min(7, *a.shape[-2:])

    def mean(x: Tensor) -> Tensor:
        return F.avg_pool2d(x, side, stride=1)

    mean_a, mean_b = mean(a), mean(b)
    variance_a, variance_b = mean(a * a) - mean_a**2, mean(b * b) - mean_b**2
    covariance = mean(a * b) - mean_a * mean_b
    likeness = (2 * mean_a * mean_b + _SSIM_C1) * (2 * covariance + _SSIM_C2)
    return (likeness / ((mean_a**2 + mean_b**2 + _SSIM_C1) * (variance_a + variance_b + _SSIM_C2))).mean()


def psnr_db(a: Float[Tensor, "*any"], b: Float[Tensor, "*any"]) -> float:
    """Peak signal-to-noise ratio of pictures in [-1, 1]."""
    return float(-10 * torch.log10((a - b).square().mean().clamp_min(1e-10) / 4))
