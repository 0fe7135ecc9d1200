"""Stored offsets come back bit for bit, and those of the head basis are the ones that were baked."""

import hashlib

import numpy as np

from panohead.synthetic.basis import head_basis
from panohead.synthetic.sparse_offsets import pack_offsets, unpack_offsets

BAKED = "a45c881c5121b44b96697232a4470e752eba4f3567904b9b6a6171c7a0e6f3f8"
"""SHA-256 of the offsets of the first head basis, which stored them as a plain array."""


def test_offsets_come_back_bit_for_bit() -> None:
    random = np.random.default_rng(0)
    offsets = random.normal(size=(5, 37, 3)).astype(np.float16)
    offsets[random.random((5, 37)) < 0.8] = 0
    offsets[0, :3] = [[0.0, -0.0, 0.0], [np.inf, 6e-8, -65504.0], [np.nan, 0.0, 1.0]]
    offsets[3] = 0
    again = unpack_offsets(*pack_offsets(offsets), 5, 37)
    assert again.dtype == np.float16
    assert again.tobytes() == offsets.tobytes()
    assert pack_offsets(np.zeros((2, 9, 3), np.float16))[1].shape == (2, 3, 0)


def test_the_head_basis_is_the_one_that_was_baked() -> None:
    assert hashlib.sha256(head_basis().offsets.tobytes()).hexdigest() == BAKED
