"""Image descriptors for a distance without any trained network: patches of a Laplacian pyramid."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import conv2d, interpolate, pad

from panohead.errors import PanoHeadError
from panohead.evaluation.settings import MIN_SIDE

PATCH_SIZE = 7
WHOLE_IMAGE = 8
_IMAGES_AT_ONCE = 64


@dataclass(frozen=True, kw_only=True)
class PyramidPatches:
    """Patch descriptors of a set of images, made by :func:`describe`.

    ``descriptors`` has one entry per level, keyed by the level's side in pixels: patches of the Laplacian pyramid (the
    smallest level is the blurred image itself), and under 8 the whole image averaged to 8x8 pixels, one descriptor per
    image. Each is "image patch channel value", not yet normalized.
    """

    seed: int
    descriptors: dict[int, Tensor]

    def __len__(self) -> int:
        """Number of images."""
        return len(self.descriptors[WHOLE_IMAGE])

    def select(self, images: Sequence[int] | slice) -> "PyramidPatches":
        """Return the descriptors of some of the images."""
        index = images if isinstance(images, slice) else list(images)
        return PyramidPatches(seed=self.seed, descriptors={k: v[index] for k, v in self.descriptors.items()})


def describe(
    images: Float[Tensor, "image 3 height width"],
    *,
    seed: int,
    patches_per_image: int = 64,
    levels: Sequence[int] | None = None,
    first_index: int = 0,
) -> PyramidPatches:
    """Return random 7x7x3 patches of every Laplacian pyramid level (Karras et al. 2018, section 5) and the whole image.

    Patch positions depend on ``seed`` and the image's index only, so batches of any size give the same descriptors, and
    two sets described with one seed use the same positions.

    Args:
        images: [-1, 1], square.
        seed: seed of the patch positions.
        patches_per_image: patches at every level.
        levels: sides in pixels; None for all from the image's own, halved down to 16.
        first_index: index of the first image in its set, when the set comes in batches.

    Raises:
        PanoHeadError: for images that are not square or smaller than 16 pixels, or a level they do not have.
    """
    if images.shape[2] != images.shape[3] or images.shape[3] < MIN_SIDE:
        raise PanoHeadError(f"images of {tuple(images.shape[2:])} pixels cannot be compared; give square ones from 16")
    available = list(laplacian_pyramid(images[:0].float()))
    wanted = available if levels is None else list(levels)
    if not set(wanted) <= set(available):
        raise PanoHeadError(f"levels {wanted} are not among those of the images, {available}")
    parts = []
    for start in range(0, max(len(images), 1), _IMAGES_AT_ONCE):
        chunk = images[start : start + _IMAGES_AT_ONCE].float()
        pyramid = laplacian_pyramid(chunk)
        descriptors = {}
        for side in wanted:
            places = _places(seed, first_index + start, len(chunk), side, patches_per_image)
            descriptors[side] = _patches(pyramid[side], places.to(images.device)).cpu()
        whole = interpolate(chunk, size=(WHOLE_IMAGE, WHOLE_IMAGE), mode="area")
        descriptors[WHOLE_IMAGE] = whole.flatten(2)[:, None].cpu()
        parts.append(PyramidPatches(seed=seed, descriptors=descriptors))
    return join(parts)


def join(parts: Iterable[PyramidPatches]) -> PyramidPatches:
    """Concatenate descriptors of batches, in order, to those of one set."""
    kept = list(parts)
    if not kept:
        raise PanoHeadError("there are no images to compare; give at least two")
    levels = kept[0].descriptors
    return PyramidPatches(
        seed=kept[0].seed, descriptors={side: torch.cat([part.descriptors[side] for part in kept]) for side in levels}
    )


def laplacian_pyramid(images: Float[Tensor, "image 3 height width"]) -> dict[int, Tensor]:
    """Return band-pass images by side in pixels, halved down to 16; the last one is the blurred image itself.

    The blur is the binomial filter (1, 4, 6, 4, 1) / 16, reflected at the borders (Burt and Adelson 1983). The sum of
    all levels, each enlarged again, is the image.
    """
    pyramid = {}
    current = images
    while current.shape[-1] % 2 == 0 and current.shape[-1] // 2 >= MIN_SIDE:
        smaller = _blur(current)[:, :, ::2, ::2]
        pyramid[current.shape[-1]] = current - _enlarge(smaller)
        current = smaller
    pyramid[current.shape[-1]] = current
    return pyramid


def _enlarge(images: Float[Tensor, "image 3 height width"]) -> Tensor:
    batch, channels, height, width = images.shape
    spread = images.new_zeros(batch, channels, 2 * height, 2 * width)
    # Three of four pixels are zero: a factor of 4 keeps the mean.
    spread[:, :, ::2, ::2] = images * 4.0
    return _blur(spread)


def _blur(images: Float[Tensor, "image 3 height width"]) -> Tensor:
    taps = images.new_tensor([1.0, 4.0, 6.0, 4.0, 1.0]) / 16.0
    channels = images.shape[1]
    padded = pad(images, (2, 2, 2, 2), mode="reflect")
    across = conv2d(padded, taps.view(1, 1, 1, 5).repeat(channels, 1, 1, 1), groups=channels)
    return conv2d(across, taps.view(1, 1, 5, 1).repeat(channels, 1, 1, 1), groups=channels)


def _places(seed: int, first_index: int, count: int, side: int, patches: int) -> Int[Tensor, "image patch 2"]:
    span = side - PATCH_SIZE + 1
    drawn = [
        np.random.default_rng((seed, side, first_index + i)).integers(span, size=(patches, 2)) for i in range(count)
    ]
    return torch.from_numpy(np.stack(drawn)) if drawn else torch.zeros(0, patches, 2, dtype=torch.long)


def _patches(
    level: Float[Tensor, "image 3 height width"], places: Int[Tensor, "image patch 2"]
) -> Float[Tensor, "image patch 3 value"]:
    # image 3 row column 7 7, then one window per place: image patch 3 49
    windows = level.unfold(2, PATCH_SIZE, 1).unfold(3, PATCH_SIZE, 1)
    image = torch.arange(len(level), device=level.device)[:, None]
    return windows[image, :, places[..., 0], places[..., 1]].flatten(3)
