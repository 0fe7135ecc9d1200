"""Near-copies among images: a hash of 64 bits an image, and a search for hashes that differ in few bits."""

from itertools import pairwise

import numpy as np
from jaxtyping import UInt8

_HASH_SIDE = 8


def image_hash(frame: UInt8[np.ndarray, "height width 3"]) -> str:
    """64 bits as 16 hexadecimal digits: whether each of 8 x 8 neighbours brightens to the right (dHash).

    Equal up to a few bits for copies of other size, compression or brightness.
    """
    from PIL import Image

    size = (_HASH_SIDE + 1, _HASH_SIDE)
    grey = np.asarray(Image.fromarray(frame).convert("L").resize(size, Image.Resampling.BOX), dtype=np.int16)
    bits = (grey[:, 1:] > grey[:, :-1]).ravel()
    return "".join(f"{int(v):02x}" for v in np.packbits(bits))


def repeated(hashes: dict[str, str], bits: int) -> dict[str, str]:
    """Which pictures repeat which: name to the first name like it.

    Args:
        hashes: of :func:`image_hash` by name, in the order in which the first is kept.
        bits: largest difference; -1 for none.
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
    """Cut 64 bits into one more band than may differ: then one band is equal (pigeonhole), and the search is short."""
    count = min(bits + 1, 64)
    edges = [round(i * 64 / count) for i in range(count + 1)]
    return [(low, high - low) for low, high in pairwise(edges)]
