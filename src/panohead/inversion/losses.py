"""Image losses and measures: a loss without network weights, the original's feature distance, SSIM and PSNR."""

from collections.abc import Callable
from typing import Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from panohead.checkpoint import weights_sha256

Distance = Callable[[Float[Tensor, "batch 3 height width"]], Float[Tensor, ""]]
"""Differentiable function from images in [-1, 1] to one number."""

_MAX_FEATURE_SIDE = 256  # pixels; larger images are shrunk, as the official code does
_MIN_LEVEL_SIDE = 8
_SSIM_C1, _SSIM_C2 = 0.02**2, 0.06**2  # (0.01 L)^2 and (0.03 L)^2 of Wang et al. 2004, with the value range L = 2


@runtime_checkable
class ImageLoss(Protocol):
    """Loss between images.

    Attributes:
        identity: text that differs from that of every loss with other values; a run resumes with the same loss only.
    """

    @property
    def identity(self) -> str: ...

    def toward(self, target: Float[Tensor, "batch 3 height width"]) -> Distance:
        """Return the distance to a fixed target in [-1, 1]."""
        ...


class FeatureLoss:
    """The original's perceptual distance: summed squared difference of features (docs/reference.md 7.5).

    Args:
        features: function from images in 0..255, with at most 256 pixels a side, to one vector each; for example
            LPIPS-VGG.
    """

    def __init__(self, features: Callable[[Tensor], Tensor]) -> None:
        self._features = features

    @property
    def identity(self) -> str:
        """Hash of the features' weights if they are a network, their type otherwise."""
        return weights_sha256(self._features) if isinstance(self._features, nn.Module) else repr(type(self._features))

    def toward(self, target: Float[Tensor, "batch 3 height width"]) -> Distance:
        """Return the distance to a fixed target in [-1, 1]."""
        with torch.no_grad():
            wanted = self._features_of(target)
        return lambda image: (self._features_of(image) - wanted).square().sum()

    def _features_of(self, image: Tensor) -> Tensor:
        image = (image + 1) * (255 / 2)  # [-1, 1] -> [0, 255]
        if image.shape[-1] > _MAX_FEATURE_SIDE:
            image = F.interpolate(image, (_MAX_FEATURE_SIDE, _MAX_FEATURE_SIDE), mode="area")
        return self._features(image)


class PyramidLoss:
    """Laplacian-pyramid L1 + gradients + SSIM: a multi-scale loss that needs no weights and no download.

    Every level of the pyramid has the same weight, so that both placement (coarse) and texture (fine) are optimized.

    Args:
        gradient_weight: weight of the L1 distance of image gradients; that of the pyramid is 1.
        ssim_weight: weight of 1 - SSIM.
    """

    def __init__(self, *, gradient_weight: float = 0.5, ssim_weight: float = 0.2) -> None:
        self._gradient_weight, self._ssim_weight = gradient_weight, ssim_weight

    @property
    def identity(self) -> str:
        """Name of the loss with its weights."""
        return f"pyramid, gradients {self._gradient_weight}, SSIM {self._ssim_weight}"

    def toward(self, target: Float[Tensor, "batch 3 height width"]) -> Distance:
        """Return the distance to a fixed target in [-1, 1]."""
        wanted = pyramid(target)

        def distance(image: Tensor) -> Tensor:
            # Mean over the pixels of a level, then over levels: fine levels have more pixels, but no more weight.
            levels = pyramid(image)
            l1 = torch.stack([(a - b).abs().mean() for a, b in zip(levels, wanted, strict=True)]).mean()
            edges = torch.stack(
                [(a - b).abs().mean() for a, b in zip(_gradients(image), _gradients(target), strict=True)]
            ).mean()
            return l1 + self._gradient_weight * edges + self._ssim_weight * (1 - ssim(image, target))

        return distance


def pyramid(image: Float[Tensor, "batch channel height width"]) -> list[Tensor]:
    """Return the Laplacian pyramid (Burt and Adelson 1983): details from fine to coarse, then the small rest.

    The image is the sum of all levels, each enlarged bilinearly to the next finer one.
    """
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
    """Return the mean structural similarity (Wang et al. 2004, equation 13) of images in [-1, 1], 7 x 7 box windows.

    It is 1 for equal images.
    """
    side = min(7, *a.shape[-2:])

    def mean(x: Tensor) -> Tensor:
        return F.avg_pool2d(x, side, stride=1)

    # Moments in each window; E[x^2] - E[x]^2 is the variance.
    mean_a, mean_b = mean(a), mean(b)
    variance_a, variance_b = mean(a * a) - mean_a**2, mean(b * b) - mean_b**2
    covariance = mean(a * b) - mean_a * mean_b
    numerator = (2 * mean_a * mean_b + _SSIM_C1) * (2 * covariance + _SSIM_C2)
    return (numerator / ((mean_a**2 + mean_b**2 + _SSIM_C1) * (variance_a + variance_b + _SSIM_C2))).mean()


def psnr_db(a: Float[Tensor, "*any"], b: Float[Tensor, "*any"]) -> float:
    """Return the peak signal-to-noise ratio of images in [-1, 1] in dB, at most 106."""
    return float(-10 * torch.log10((a - b).square().mean().clamp_min(1e-10) / 4))
