"""The compiled low-pass against the plain one: values, gradients of both orders, and when it steps aside."""

import itertools

import pytest
import torch
from torch import Tensor

from panohead.ops import fast_paths
from panohead.ops.cpu import fir as fir_cpu
from panohead.ops.cpu.jit import available
from panohead.ops.resample import downsample2d, fir_filter, upfirdn2d, upsample2d

pytestmark = pytest.mark.skipif(not available(), reason="numba is not installed")

FILTER = fir_filter()
PADDINGS = [*itertools.product((0, 1, 2, 3), repeat=2), (-1, 2), (2, -1), (-1, -1)]


@pytest.fixture(autouse=True)
def whatever_the_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small images too."""
    monkeypatch.setattr(fir_cpu, "_MIN_ELEMENTS", 0)
    monkeypatch.setattr(fir_cpu, "_MIN_WIDTH", 0)


def both(x: Tensor, up: int, down: int, padding: tuple[int, int, int, int]) -> list[list[Tensor]]:
    """Value, gradient and gradient of the gradient: compiled, then plain."""

    def chain() -> list[Tensor]:
        given = x.clone().requires_grad_()
        value = upfirdn2d(given, FILTER, up=up, down=down, padding=padding, gain=1.5)
        random = torch.Generator().manual_seed(1)
        pull = torch.randn(value.shape, generator=random).requires_grad_()
        (gradient,) = torch.autograd.grad(value, given, pull, create_graph=True)
        (again,) = torch.autograd.grad(gradient, pull, torch.randn(x.shape, generator=random))
        return [value.detach(), gradient.detach(), again]

    assert fir_cpu.unsupported(x, FILTER, up, down, (padding[2], padding[0])) is None
    fast = chain()
    with fast_paths.plain_only():
        return [fast, chain()]


@pytest.mark.parametrize(("up", "down"), [(1, 1), (2, 1), (1, 2)])
@pytest.mark.parametrize("size", [(6, 7), (4, 20), (9, 2)], ids=str)
def test_values_and_gradients(up: int, down: int, size: tuple[int, int]) -> None:
    x = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(0))
    tried = 0
    # Paddings of rows and of columns differ, so that neither is taken for the other.
    for columns, rows in zip(PADDINGS, [*PADDINGS[5:], *PADDINGS[:5]], strict=True):
        if up * size[1] + sum(columns) < 4 or up * size[0] + sum(rows) < 4:
            continue
        for ours, plain in zip(*both(x, up, down, (*columns, *rows)), strict=True):
            torch.testing.assert_close(ours, plain, rtol=1e-5, atol=1e-5)
        tried += 1
    assert tried > 5


def test_resampling_by_two() -> None:
    x = torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(0))
    for resample in (upsample2d, downsample2d):
        fast = resample(x, FILTER)
        with fast_paths.plain_only():
            torch.testing.assert_close(fast, resample(x, FILTER), rtol=1e-5, atol=1e-6)


def test_threads_and_memory_layout_change_nothing() -> None:
    x = torch.randn(2, 5, 64, 64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    before, found = torch.get_num_threads(), []
    pull = torch.randn(2, 128, 128, 5).permute(0, 3, 1, 2)
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            value = upsample2d(x, FILTER)
            found.append((value, *torch.autograd.grad(value, x, pull.contiguous() if threads == 1 else pull)))
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(one, two) for one, two in zip(*found, strict=True))


def test_it_steps_aside(monkeypatch: pytest.MonkeyPatch) -> None:
    x = torch.zeros(1, 1, 8, 8)
    assert fir_cpu.unsupported(x, FILTER, 1, 1, (1, 1)) is None
    assert fir_cpu.unsupported(x, FILTER, 2, 2, (1, 1)) is not None
    assert fir_cpu.unsupported(x, FILTER, (2, 1), 1, (1, 1)) is not None
    assert fir_cpu.unsupported(x, FILTER, 4, 1, (1, 1)) is not None
    assert fir_cpu.unsupported(x, FILTER, 1, 1, (9, 1)) is not None
    assert fir_cpu.unsupported(x, FILTER * 2, 1, 1, (1, 1)) is not None
    assert fir_cpu.unsupported(x, None, 1, 1, (1, 1)) is not None
    assert fir_cpu.unsupported(x.double(), FILTER, 1, 1, (1, 1)) is not None
    with fast_paths.plain_only():
        assert fir_cpu.unsupported(x, FILTER, 1, 1, (1, 1)) == "fast paths are switched off"
    monkeypatch.setattr(fir_cpu, "_MIN_WIDTH", 48)
    assert fir_cpu.unsupported(x, FILTER, 1, 1, (1, 1)) is not None
    assert fir_cpu.unsupported(x, FILTER, 2, 1, (1, 1)) is None
