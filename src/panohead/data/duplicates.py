"""Near-copies among images: a 64-bit hash of each image, and a search for hashes that differ in few bits."""

from itertools import pairwise

import numpy as np
from jaxtyping import UInt8

_HASH_SIDE = 8


def image_hash(frame: UInt8[np.ndarray, "height width 3"]) -> str:
    """Return the difference hash (dHash): a bit for each of 8 x 8 pixels, set where its right neighbor is brighter.

    Equal up to a few bits for copies of other size, compression or brightness. 16 hexadecimal digits.
    """
    from PIL import Image

    size = (_HASH_SIDE + 1, _HASH_SIDE)
    gray = np.asarray(Image.fromarray(frame).convert("L").resize(size, Image.Resampling.BOX), dtype=np.int16)
    bits = (gray[:, 1:] > gray[:, :-1]).ravel()
    return "".join(f"{int(v):02x}" for v in np.packbits(bits))


def repeated(hashes: dict[str, str], bits: int) -> dict[str, str]:
    """Find images that repeat earlier ones: the name of each copy and the name of its original.

    Args:
        hashes: results of :func:`image_hash` by name; of equal ones the first is the original.
        bits: largest number of bits in which a copy differs; -1 for no copies at all.
    """
    if bits < 0:
        return {}
    bands = _bands(bits)
    kept: dict[tuple[int, int], list[tuple[str, int]]] = {}
    copies: dict[str, str] = {}
    for name, digits in hashes.items():
        value = int(digits, 16)
        keys = [(i, (value >> low) & ((1 << width) - 1)) for i, (low, width) in enumerate(bands)]
        original = next(
            (other for key in keys for other, known in kept.get(key, []) if (known ^ value).bit_count() <= bits),
            None,
        )
        if original is not None:
            copies[name] = original
            continue
        for key in keys:
            kept.setdefault(key, []).append((name, value))
    return copies


def _bands(bits: int) -> list[tuple[int, int]]:
    """Return (lowest bit, width) of one band more than bits may differ: a copy has an equal band (pigeonhole)."""
    count = min(bits + 1, 64)
    edges = [round(i * 64 / count) for i in range(count + 1)]
    return [(low, high - low) for low, high in pairwise(edges)]
