"""Whitening of w."""

import torch

import tiny
from panohead.inversion.w_space import w_space


def test_whitening_makes_w_vary_by_one_and_comes_back() -> None:
    space = w_space(tiny.generator(), samples=512)
    whitening = space.whitening()
    v = whitening.from_w(space.samples)
    strong = whitening.deviation > whitening.deviation[0] * 1e-3
    torch.testing.assert_close(v.std(dim=0, correction=0)[strong], torch.ones(int(strong.sum())), atol=0.02, rtol=0)
    torch.testing.assert_close(whitening.to_w(v), space.samples, atol=1e-4, rtol=0)
