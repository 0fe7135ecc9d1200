"""Operators against slow loops and laws."""

import math

import pytest
import torch

from panohead import ops
from panohead.ops.modulated_conv import demodulation_factors, modulated_conv2d
from panohead.ops.resample import downsample2d, fir_filter, upfirdn2d, upsample2d
from panohead.ops.resize import filtered_resizing, gaussian_blur


def test_upfirdn_equals_a_loop_over_pixels() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(1, 1, 5, 4, generator=generator)
    taps = torch.rand(3, 2, generator=generator)
    up, down, (left, right, top, bottom) = 2, 3, (2, 1, 0, 3)
    inserted = torch.zeros(5 * up, 4 * up)
    inserted[::up, ::up] = x[0, 0]
    padded = torch.zeros(5 * up + top + bottom, 4 * up + left + right)
    padded[top : top + 5 * up, left : left + 4 * up] = inserted
    rows, columns = padded.shape[0] - 2, padded.shape[1] - 1
    expected = torch.zeros(rows, columns)
    for i in range(rows):
        for j in range(columns):
            for a in range(3):
                for b in range(2):
                    expected[i, j] += padded[i + a, j + b] * taps[2 - a, 1 - b]
    result = upfirdn2d(x, taps, up=up, down=down, padding=(left, right, top, bottom), gain=1.5)
    torch.testing.assert_close(result[0, 0], expected[::down, ::down] * 1.5)


def test_resampling_keeps_a_constant_away_from_the_border() -> None:
    x = torch.ones(1, 2, 16, 16)
    torch.testing.assert_close(upsample2d(x, fir_filter())[:, :, 4:-4, 4:-4], torch.ones(1, 2, 24, 24))
    torch.testing.assert_close(downsample2d(x, fir_filter())[:, :, 2:-2, 2:-2], torch.ones(1, 2, 4, 4))


@pytest.mark.parametrize("up", [1, 2])
@pytest.mark.parametrize("demodulate", [True, False])
def test_both_formulations_of_modulation_are_equal(up: int, demodulate: bool) -> None:
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(3, 6, 8, 8, generator=generator)
    weight = torch.randn(5, 6, 3, 3, generator=generator)
    styles = torch.randn(3, 6, generator=generator) + 1
    options = {
        "up": up,
        "padding": 1,
        "resample_filter": fir_filter(),
        "demodulate": demodulate,
        "flip_weight": up == 1,
    }
    fused = modulated_conv2d(x, weight, styles, fused=True, **options)
    torch.testing.assert_close(fused, modulated_conv2d(x, weight, styles, fused=False, **options), atol=2e-5, rtol=1e-5)


def test_demodulation_brings_filters_to_unit_norm() -> None:
    generator = torch.Generator().manual_seed(4)
    weight, styles = torch.randn(4, 3, 3, 3, generator=generator), torch.randn(2, 3, generator=generator)
    scaled = weight[None] * styles[:, None, :, None, None]
    norm = (scaled * demodulation_factors(weight, styles)[:, :, None, None, None]).square().sum(dim=(2, 3, 4))
    torch.testing.assert_close(norm, torch.ones(2, 4), atol=1e-5, rtol=0)


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("up", [1, 2])
def test_gradients_of_modulation_agree_with_finite_differences(fused: bool, up: int) -> None:
    generator = torch.Generator().manual_seed(5)
    x, weight, styles = (
        torch.randn(shape, generator=generator, dtype=torch.float64, requires_grad=True)
        for shape in ((2, 2, 4, 4), (3, 2, 3, 3), (2, 2))
    )

    def layer(x: torch.Tensor, weight: torch.Tensor, styles: torch.Tensor) -> torch.Tensor:
        taps = fir_filter().double()
        return modulated_conv2d(
            x, weight, styles, up=up, padding=1, resample_filter=taps, flip_weight=up == 1, fused=fused
        )

    assert torch.autograd.gradcheck(layer, (x, weight, styles))
    assert torch.autograd.gradgradcheck(layer, (x, weight, styles))


def test_blur_spreads_a_point_as_stated() -> None:
    x = torch.zeros(1, 1, 21, 21)
    x[0, 0, 10, 10] = 1
    row = gaussian_blur(x, 2.0)[0, 0].sum(dim=0)
    taps = torch.tensor([2.0 ** -((i / 2.0) ** 2) for i in range(-6, 7)])
    torch.testing.assert_close(row[4:17], taps / taps.sum())
    assert torch.equal(gaussian_blur(x, 0.2), x)


def test_unknown_resize_mode_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown resize mode 'bicubic'"):
        filtered_resizing(torch.zeros(1, 1, 4, 4), 2, resample_filter=fir_filter(), mode="bicubic")


def test_taps_of_the_default_filter() -> None:
    assert float(fir_filter().sum()) == pytest.approx(1)
    assert fir_filter().shape == (4, 4)
    assert math.isclose(float(fir_filter()[0, 0]), 1 / 64)


def test_public_names_are_there() -> None:
    assert all(callable(getattr(ops, name)) for name in ops.__all__)
    with pytest.raises(AttributeError, match="nothing"):
        ops.nothing  # noqa: B018
