"""The one check of masks: whether a mask is one of the person in its image, and the likely cause where it is not.

Training, the dataset tools and reconstruction use it. A mask is 0 for background and 255 for the person.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image
from scipy import ndimage

from panohead.errors import PanoHeadError
from panohead.files.image import BrokenImage, decode_levels

MIN_BRIGHTEST = 128
"""Brightest value of a mask below which its values are no levels of 0 to 255."""
MIN_COVERAGE, MAX_COVERAGE = 0.02, 0.998
"""Share of a head's crop that is person; synthetic heads cover 45 to 99 % of their crops, cut ones less."""
MAX_GRAY = 0.5
"""Share of levels that are neither background nor person; soft masks have about a tenth."""
MIN_PAIRS = 4
"""Pairs of images from which a dataset's masks can be compared with those of other images."""
MIN_AGREEMENT_RATIO = 1.25
"""Smallest ratio of the agreement of images with their own masks to that with others (means of logarithms): at least
1.9 in samples of 4 right pairs of synthetic heads, 1 for masks of other images."""
MIN_AGREEMENT = 0.75
"""Agreement below which a single mask is doubtful: right ones of synthetic heads have 1.1 to 7.4 (a real portrait:
1.8), those of other images a median of 0.95."""
MIN_SIDE_PX = 48
"""Side of a image below which its mask is not compared with it."""
_WRONG_SHARE = 0.5
"""Share of a sample's masks from which a dataset is refused."""
MAX_ASPECT_ERROR = 0.02
"""Relative difference of the aspect ratios of mask and image that rounding explains."""
_LOW, _HIGH = 16, 240
_SIDE = 64
"""Side at which masks are compared with images: edges, not texture."""
_MIN_DIFFERENCE = 0.05
"""Mean difference of two masks from which swapping them can be noticed."""


def read_mask(content: bytes, file: str) -> UInt8[np.ndarray, "height width"]:
    """Decode a mask file of any kind to 0..255: gray, black and white, palette, RGB of equal channels, or alpha.

    Raises:
        PanoHeadError: when it is no image, or a color image; names ``file``.
    """
    try:
        return mask_of_image(decode_levels(content), file)
    except BrokenImage as error:
        raise PanoHeadError(f"cannot read the mask {file} as an image ({error}); give another") from error


def mask_of_image(image: Image.Image, file: str) -> UInt8[np.ndarray, "height width"]:
    """Return the mask that an image of any of Pillow's modes holds, 0..255.

    Raises:
        PanoHeadError: when it is a color image; names ``file``.
    """
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La"):
        alpha = np.asarray(image.convert("RGBA"))[..., 3]
        # Cut-outs hold their mask in the alpha channel; an alpha that is the same everywhere says nothing.
        if np.ptp(alpha) > 0:
            return np.array(alpha)
        image = image.convert("RGBA").convert("RGB")
    if image.mode.startswith("I") or image.mode == "F":
        return _from_wide(np.asarray(image, dtype=np.float64))
    if image.mode == "1" or image.mode == "L":
        return np.array(image.convert("L"))
    pixels = np.asarray(image.convert("RGB"))
    if np.ptp(pixels, axis=-1).max(initial=0) > _LOW:
        raise PanoHeadError(
            f"the mask {file} is a color image; give one of gray levels, 0 for background and 255 for the person"
        )
    return np.ascontiguousarray(pixels[..., 0])


def _from_wide(values: Float[np.ndarray, "height width"]) -> UInt8[np.ndarray, "height width"]:
    """Convert 16 and 32 bits per sample: fractions and 16-bit levels by their range, others as they are."""
    top = float(np.nan_to_num(values).max(initial=0.0))
    scale = 1 / 257 if top > 255 else 1.0
    return np.clip(np.rint(np.nan_to_num(values) * scale), 0, 255).astype(np.uint8)


def values_problem(mask: UInt8[np.ndarray, "height width"]) -> str:
    """Return what is wrong with the values of a mask, whatever it is of; empty if nothing is."""
    top = int(mask.max(initial=0))
    if top == 0:
        return "it is empty: nothing is marked as person"
    if top < MIN_BRIGHTEST:
        what = "0 and 1" if top == 1 else f"0 to {top}"
        cause = "numbers of classes" if top > 1 else "truth values"
        return f"its values are {what} ({cause}, it seems); a mask has 0 for background and 255 for the person"
    if int(mask.min()) == top:
        return "it is full: everything is marked as person"
    return ""


def mask_problem(
    mask: UInt8[np.ndarray, "height width"], inside: Float[np.ndarray, "in_height in_width"] | None = None
) -> str:
    """Return what is wrong with the mask of an aligned crop, in a few words with the likely cause; empty if nothing is.

    Args:
        mask: 0..255.
        inside: part of the crop that its photo shows, 0 to 1; None for all of it.
    """
    problem = values_problem(mask)
    if problem:
        return problem
    small = _small(mask)
    known = np.ones_like(small) if inside is None else _small(np.rint(inside * 255).astype(np.uint8))
    gray = float(((mask > _LOW) & (mask < _HIGH)).mean())
    if gray > MAX_GRAY:
        return f"{gray:.0%} of it is neither background nor person; it seems to be a image"
    coverage = float((small * known).sum() / max(float(known.sum()), 1.0))
    middle, corners = _at(small, known, _MIDDLE), [_at(small, known, corner) for corner in _CORNERS]
    marked = [corner for corner in corners if corner is not None]
    if middle is not None and middle < 0.3 and coverage >= MIN_COVERAGE:
        cause = (
            "inverted (255 for the background)" if max(marked, default=0.0) > 0.6 else "inverted, or of another image"
        )
        return f"it leaves out the middle of the crop, where the head is; it seems to be {cause}"
    if coverage < MIN_COVERAGE:
        return f"it is nearly empty: {coverage:.1%} is marked as person"
    if coverage > MAX_COVERAGE:
        return f"it is nearly full: {coverage:.1%} is marked as person"
    return ""


def aspect_problem(mask: tuple[int, ...], image: tuple[int, ...]) -> str:
    """Return what is wrong with the size of a mask (height, width), given its image's; empty if nothing is."""
    (rows, columns), (height, width) = mask[:2], image[:2]
    if abs(columns * height / (rows * width) - 1) <= MAX_ASPECT_ERROR:
        return ""
    turned = abs(rows * height / (columns * width) - 1) <= MAX_ASPECT_ERROR
    cause = "it seems to be turned by a quarter" if turned else "it seems to be of another image or part of it"
    return f"it has {columns} x {rows} pixels and the image {width} x {height}; {cause}"


def agreement(mask: UInt8[np.ndarray, "height width"], image: UInt8[np.ndarray, "rows columns 3"]) -> float:
    """Return how well the edge of a mask follows edges of a image: the mean change of color across the mask's edge,
    divided by the mean change anywhere. 1 for an edge that has nothing to do with the image."""
    soft = _small(mask)
    image = np.asarray(Image.fromarray(image).resize((_SIDE, _SIDE), Image.Resampling.BOX), dtype=np.float64)
    across = np.stack([ndimage.sobel(soft, axis) for axis in (0, 1)])  # 2 side side
    change = np.stack([ndimage.sobel(image, axis) for axis in (0, 1)])  # 2 side side 3
    strength = np.hypot(*across)
    anywhere = float(np.sqrt((change**2).sum(axis=(0, 3))).mean())
    if strength.sum() < 1e-6 or anywhere < 1e-6:
        return 1.0
    # The part of the image's gradient that is normal to the mask's edge, by the weight of that edge.
    normal = np.sqrt(
        (((change * across[..., None]).sum(axis=0) / np.maximum(strength, 1e-6)[..., None]) ** 2).sum(axis=-1)
    )
    return float((normal * strength).sum() / strength.sum() / anywhere)


@dataclass(frozen=True)
class MaskedImage:
    """One image of a dataset with its mask.

    Attributes:
        name: name of the mask's file.
        image: RGB.
        mask: 0..255.
    """

    name: str
    image: UInt8[np.ndarray, "height width 3"]
    mask: UInt8[np.ndarray, "rows columns"]


def sample_problem(pairs: Sequence[MaskedImage]) -> str:
    """Return a sentence on what is wrong with most masks of a sample of a dataset; empty if nothing is.

    Tiny images show no outline to compare with; masks of fewer than 48 pixels a side pass.
    """
    large = [pair for pair in pairs if min(pair.mask.shape) >= MIN_SIDE_PX]
    problems = [(pair.name, problem) for pair in large if (problem := mask_problem(pair.mask))]
    if len(problems) > _WRONG_SHARE * len(large):
        name, problem = problems[0]
        return f"of {len(large)} masks in a sample, {len(problems)} cannot be used; such as {name}: {problem}"
    return masks_of_others(large) or turned_masks(large)


def turned_masks(pairs: Sequence[MaskedImage]) -> str:
    """Return a sentence when the masks of a sample fit their images better once flipped or turned; empty otherwise."""
    if len(pairs) < MIN_PAIRS:
        return ""

    def mean_agreement(change: Callable[[np.ndarray], np.ndarray]) -> float:
        changed = (agreement(np.ascontiguousarray(change(pair.mask)), pair.image) for pair in pairs)
        return float(np.mean(np.log(np.maximum(list(changed), 1e-3))))

    own = mean_agreement(lambda mask: mask)
    for how, change in _TURNS.items():
        ratio = float(np.exp(mean_agreement(change) - own))
        if ratio >= MIN_AGREEMENT_RATIO:
            return (
                f"the masks follow the edges of their images better when they are {how} (ratio {ratio:.2f} over "
                f"{len(pairs)} images); change the masks, or the images with their labels"
            )
    return ""


def turned_mask(mask: UInt8[np.ndarray, "height width"], image: UInt8[np.ndarray, "rows columns 3"]) -> str:
    """Return a sentence on a single mask whose edge has nothing to do with its crop, or fits it better turned.

    Of 401 right masks of crops none fits better turned than as it is; of the same ones turned upside down, mirrored and
    turned by 180 degrees 100, 93 and 100 % are noticed.
    """
    own = agreement(mask, image)
    turned = {how: agreement(np.ascontiguousarray(change(mask)), image) for how, change in _TURNS.items()}
    best = max(turned, key=lambda how: turned[how])
    if turned[best] >= max(MIN_AGREEMENT_RATIO * own, 1.0):
        return f"Its mask fits it better when it is {best}; if the mask is wrong, the head will be wrong."
    if own < MIN_AGREEMENT:
        return "The edge of its mask follows no edge in it; if the mask is of another image, the head will be wrong."
    return ""


def masks_of_others(pairs: Sequence[MaskedImage]) -> str:
    """Return a sentence when the masks of a sample follow other images as well as their own; empty otherwise."""
    own, other = [], []
    for i, pair in enumerate(pairs):
        neighbor = pairs[(i + 1) % len(pairs)]
        if np.abs(_small(pair.mask) - _small(neighbor.mask)).mean() < _MIN_DIFFERENCE:
            continue
        own.append(np.log(max(agreement(pair.mask, pair.image), 1e-3)))
        other.append(np.log(max(agreement(neighbor.mask, pair.image), 1e-3)))
    if len(own) < MIN_PAIRS:
        return ""
    ratio = float(np.exp(np.mean(own) - np.mean(other)))
    if ratio >= MIN_AGREEMENT_RATIO:
        return ""
    return (
        f"the masks follow the edges of their images no better than those of other images do (ratio {ratio:.2f} "
        f"over {len(own)} images, right ones have {MIN_AGREEMENT_RATIO} and more); they seem to belong to others"
    )


_TURNS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "turned upside down": lambda mask: mask[::-1],
    "mirrored": lambda mask: mask[:, ::-1],
    "turned by 180 degrees": lambda mask: mask[::-1, ::-1],
}
_MIDDLE = (slice(24, 40), slice(24, 40))
# The upper corners, which heads hardly reach.
_CORNERS = ((slice(0, 8), slice(0, 8)), (slice(0, 8), slice(_SIDE - 8, _SIDE)))


def _at(small: np.ndarray, known: np.ndarray, part: tuple[slice, slice]) -> float | None:
    """Return the mean of a mask in a part of the crop as far as it is known; None where most of it is not."""
    weight = float(known[part].mean())
    return float((small * known)[part].mean()) / weight if weight > 0.5 else None


def _small(mask: UInt8[np.ndarray, "height width"]) -> Float[np.ndarray, "side side"]:
    small = Image.fromarray(mask).resize((_SIDE, _SIDE), Image.Resampling.BOX)
    return np.asarray(small, dtype=np.float64) / 255
