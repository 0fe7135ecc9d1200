"""Splats as SPZ (Niantic, MIT; https://github.com/nianticlabs/spz): a gzip stream, about a fifth of a PLY's size.

Version 2 of the format, which all readers take: positions as 24-bit fixed-point numbers, everything else in 8 bits.
Axes are the format's own (x right, y up, z toward the viewer in front: RUB), which are the head's; lengths are life
size in meters. Written here because the mark that the head is synthetic stands in the comment of the gzip header
(RFC 1952), which decoders skip and ``panohead verify`` reads; no library lets one set it.
"""

import struct
import zlib

import numpy as np
from jaxtyping import Float, UInt8

from panohead.splats.cloud import SplatCloud
from panohead.splats.life_size import life_size

_MAGIC, _VERSION = 0x5053474E, 2
_FRACTION_BITS = 16
"""Steps of 15 micrometers, up to 128 m."""
_GZIP_COMMENT = 0x10


def encode_spz(cloud: SplatCloud, comment: str) -> bytes:
    """Return the content of an SPZ file; ``comment`` is one line of Latin-1 in its gzip header."""
    cloud = life_size(cloud)
    body = struct.pack("<3I4B", _MAGIC, _VERSION, len(cloud), 0, _FRACTION_BITS, 0, 0) + b"".join(
        [
            _fixed(cloud.means.numpy()),
            _bytes(np.ravel(1 / (1 + np.exp(-cloud.opacity_logits.numpy().astype(np.float64)))) * 255),
            _bytes((cloud.coefficients.numpy() * 0.15 + 0.5) * 255),
            _bytes((cloud.log_scales.numpy() + 10) * 16),
            _bytes(cloud.quaternions.numpy()[:, 1:] * 127.5 + 127.5),
        ]
    )
    # RFC 1952: magic, deflate, flags, time 0, no extra flags, unknown system.
    head = b"\x1f\x8b\x08" + bytes([_GZIP_COMMENT]) + bytes(4) + b"\x00\xff"
    text = " ".join(comment.split()).encode("latin-1", "replace") + b"\x00"
    deflate = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    packed = deflate.compress(body) + deflate.flush()
    return head + text + packed + struct.pack("<2I", zlib.crc32(body), len(body) & 0xFFFFFFFF)


def _bytes(values: Float[np.ndarray, "*shape"]) -> bytes:
    levels: UInt8[np.ndarray, "*shape"] = np.clip(np.rint(values), 0, 255).astype(np.uint8)
    return levels.tobytes()


def _fixed(positions: Float[np.ndarray, "splat 3"]) -> bytes:
    """Return numbers as 24-bit little-endian integers, the low three bytes of 32."""
    limit = 2**23 - 1
    whole = np.clip(np.rint(positions.astype(np.float64) * 2**_FRACTION_BITS), -limit, limit).astype("<i4")
    return whole.view(np.uint8).reshape(-1, 4)[:, :3].tobytes()
