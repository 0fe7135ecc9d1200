"""Resampling without inserted zeros against the reference that inserts them."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from panohead.ops import fast_paths, polyphase
from panohead.ops.resample import Padding, fir_filter, upfirdn2d, upfirdn2d_polyphase

SIZE = (7, 10)
CASES: list[tuple[int, int, Padding]] = [
    (2, 1, (2, 1, 2, 1)),  # the image's upsampling
    (1, 1, (1, 1, 1, 1)),  # after a transposed convolution
    (1, 2, (1, 1, 1, 1)),  # the discriminator's downsampling
    (1, 2, (2, 2, 2, 2)),
    (1, 1, (2, 1, 3, 0)),
    (1, 2, (-1, -1, 0, 2)),
    (2, 1, (3, 2, 0, 5)),
    (2, 1, (-1, 4, 1, -2)),
    (3, 1, (2, 3, 4, 1)),
    (1, 3, (0, 1, 2, 5)),
    (4, 1, (3, 0, 5, 2)),
]
UNEVEN = torch.tensor([[0.1, -0.3, 0.5], [0.2, 0.9, -0.4], [0.7, 0.05, 0.3], [-0.6, 0.8, 0.15], [0.25, 0.35, -0.45]])
"""A filter without symmetry, of 5 x 3 taps."""
FILTERS = {"default": fir_filter(), "uneven": UNEVEN}


def _reference(x: Tensor, resample_filter: Tensor, **options: Any) -> Tensor:
    with fast_paths.plain_only():
        return upfirdn2d(x, resample_filter, **options)


@pytest.mark.parametrize("taps", FILTERS)
@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize(("up", "down", "padding"), CASES)
def test_equals_the_reference(up: int, down: int, padding: Padding, flip: bool, taps: str) -> None:
    x = torch.randn(2, 3, *SIZE, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    options: dict[str, Any] = {"up": up, "down": down, "padding": padding, "flip_filter": flip, "gain": up * up * 1.5}
    resample_filter = FILTERS[taps].double()
    found = upfirdn2d_polyphase(x, resample_filter, **options)
    torch.testing.assert_close(found, _reference(x, resample_filter, **options), rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("taps", FILTERS)
@pytest.mark.parametrize(("up", "down", "padding"), CASES)
def test_gradients_of_every_order(up: int, down: int, padding: Padding, taps: str) -> None:
    """Of a function that is not linear in the image, as R1 differentiates it: once and twice."""
    resample_filter = FILTERS[taps].double()
    x = torch.randn(1, 2, *SIZE, generator=torch.Generator().manual_seed(1), dtype=torch.float64, requires_grad=True)

    def both(function: Callable[..., Tensor]) -> tuple[Tensor, Tensor]:
        y = function(x, resample_filter, up=up, down=down, padding=padding, gain=2.0)
        (first,) = torch.autograd.grad(y.pow(3).sum(), x, create_graph=True)
        (second,) = torch.autograd.grad(first.square().sum(), x)
        return first.detach(), second

    for found, expected in zip(both(upfirdn2d_polyphase), both(_reference), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("up", "down", "padding"), CASES)
def test_channels_last_stays(up: int, down: int, padding: Padding) -> None:
    x = torch.randn(2, 5, *SIZE).to(memory_format=torch.channels_last)
    found = upfirdn2d_polyphase(x, fir_filter(), up=up, down=down, padding=padding)
    assert found.stride(1) == 1
    torch.testing.assert_close(found, _reference(x, fir_filter(), up=up, down=down, padding=padding))


def test_where_it_serves() -> None:
    on_device, on_cpu = torch.empty(1, 2, 8, 8, device="meta"), torch.empty(1, 2, 8, 8)
    resample_filter = fir_filter()
    assert polyphase.unsupported(on_device, resample_filter, 2, 1) is None
    assert polyphase.unsupported(on_cpu, resample_filter, 2, 1) is not None
    assert polyphase.unsupported(on_device, fir_filter([1] * 8), 1, 1) is not None  # separable
    assert polyphase.unsupported(on_device, None, 2, 1) is not None
    assert polyphase.unsupported(on_device, resample_filter, (2, 1), 1) is not None
    assert polyphase.unsupported(on_device, resample_filter, 2, 2) is not None
    with fast_paths.plain_only():
        assert polyphase.unsupported(on_device, resample_filter, 2, 1) is not None
