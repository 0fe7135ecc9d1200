"""Kaiser filters against SciPy, and resampling between grids against slow zero insertion."""

import numpy as np
import pytest
import torch
from scipy import signal

from panohead.ops.lowpass import jinc, kaiser_beta, kaiser_window, radial_lowpass, sinc_lowpass
from panohead.ops.resampling_grid import Resampling, SampleGrid, filter_matrix


@pytest.mark.parametrize(("taps", "cutoff", "half_width"), [(12, 16.0, 16.0), (24, 10.1, 5.9), (48, 20.0, 2.0)])
def test_separable_filters_are_scipys_window_method(taps: int, cutoff: float, half_width: float) -> None:
    rate = 128
    attenuation = signal.kaiser_atten(taps, 2 * half_width / (rate / 2))
    assert kaiser_beta(taps, 2 * half_width, rate) == pytest.approx(signal.kaiser_beta(attenuation))
    expected = signal.firwin(taps, cutoff, width=2 * half_width, fs=rate)
    np.testing.assert_allclose(sinc_lowpass(taps, cutoff=cutoff, half_width=half_width, rate=rate), expected, atol=1e-9)


def test_continuous_window_is_numpys_at_the_taps() -> None:
    distance = np.arange(11) - 5.0
    np.testing.assert_allclose(kaiser_window(distance, 5.0, 4.0), np.kaiser(11, 4.0), atol=1e-12)
    assert not kaiser_window(np.array([5.001, 9.0]), 5.0, 4.0).any()


def test_jinc_has_a_disc_of_frequencies() -> None:
    """The sum over a wide grid is the response at frequency 0, which is 1; and the limit at 0 is the disc's area."""
    steps = np.arange(-400, 401) / 16
    radius = np.hypot(steps[:, None], steps[None, :])
    window = np.exp(-np.square(radius / 8))
    assert (jinc(radius, 1.5) * window).sum() / 16**2 == pytest.approx(1, abs=1e-3)
    assert jinc(np.array([0.0, 1e-7]), 1.5) == pytest.approx(np.pi * 1.5**2)
    wave = np.cos(2 * np.pi * 2.5 * (0.6 * steps[:, None] + 0.8 * steps[None, :]))
    assert abs((jinc(radius, 1.5) * window * wave).sum()) / 16**2 < 1e-3, "2.5 cycles lie outside of the disc"


def test_radial_filters_pass_alike_in_all_directions_and_separable_ones_do_not() -> None:
    settings = {"cutoff": 16.0, "half_width": 8.0, "rate": 128}
    places = (np.arange(24) - 11.5) / 128

    def response(taps: np.ndarray, degrees: float) -> float:
        x, y = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
        phase = 2 * np.pi * 18 * (x * places[None, :] + y * places[:, None])
        return float((taps * np.cos(phase)).sum())

    axis = sinc_lowpass(24, **settings)
    radial, square = radial_lowpass(24, **settings), np.outer(axis, axis)
    assert radial.sum() == pytest.approx(1)
    assert np.ptp([response(radial, angle) for angle in (0, 15, 30, 45)]) < 0.005
    assert np.ptp([response(square, angle) for angle in (0, 15, 30, 45)]) > 0.1


def slow(x: np.ndarray, taps: np.ndarray, rate: int, source: SampleGrid, target: SampleGrid) -> np.ndarray:
    """Return an image resampled by its definition: zero insertion, convolution, decimation."""
    up, down = rate // source.rate, rate // target.rate
    inserted = np.zeros((source.size * up,) * 2)
    # Both filter and insertion are centered on the pixels' cells; even filters lie half a fine sample off.
    inserted[::up, ::up] = x * up**2
    kernel = taps if taps.ndim == 2 else np.outer(taps, taps)
    full = signal.convolve2d(inserted, kernel)
    # Position of the first sample of the full convolution, in fine samples from the canvas's edge.
    start = (0.5 - source.margin) * up - (len(kernel) - 1) / 2
    index = (0.5 - target.margin + np.arange(target.size)) * down - start
    assert np.allclose(index, np.rint(index))
    index = np.rint(index).astype(int)
    inside = (index >= 0) & (index < len(full))
    kept = full[np.clip(index, 0, len(full) - 1)][:, np.clip(index, 0, len(full) - 1)]
    return kept * np.outer(inside, inside)


@pytest.mark.parametrize(
    ("source", "target", "rate", "taps"),
    [
        (SampleGrid(8, 2), SampleGrid(32, 7), 32, sinc_lowpass(24, cutoff=3, half_width=1, rate=32)),
        (SampleGrid(8, 2), SampleGrid(16, 3), 16, sinc_lowpass(12, cutoff=3, half_width=1, rate=16)),
        (SampleGrid(16, 9), SampleGrid(8, 2), 16, sinc_lowpass(12, cutoff=3, half_width=1, rate=16)),
        (SampleGrid(16, 9), SampleGrid(8, 2), 16, radial_lowpass(12, cutoff=3, half_width=1, rate=16)),
        (SampleGrid(64, 10), SampleGrid(128, 25), 128, sinc_lowpass(12, cutoff=30, half_width=9, rate=128)),
        (SampleGrid(256, 5), SampleGrid(128, 3), 256, radial_lowpass(12, cutoff=30, half_width=9, rate=256)),
        (SampleGrid(16, 1), SampleGrid(8, 4), 16, radial_lowpass(12, cutoff=3, half_width=1, rate=16)),
    ],
    ids=[
        "4 times up",
        "twice up",
        "down",
        "down, radial",
        "up, in bands",
        "down, in bands",
        "down, radial, beyond the source",
    ],
)
def test_resampling_is_zero_insertion_filter_and_decimation(
    source: SampleGrid, target: SampleGrid, rate: int, taps: np.ndarray
) -> None:
    x = torch.randn(2, 3, source.size, source.size, generator=torch.Generator().manual_seed(0))
    found = Resampling(taps, rate, source, target)(x)
    assert found.shape == (2, 3, target.size, target.size)
    for sample in range(2):
        expected = slow(x[sample, 1].double().numpy(), taps, rate, source, target)
        np.testing.assert_allclose(found[sample, 1].numpy(), expected, atol=2e-5)


def test_a_wave_below_the_cutoff_goes_up_and_down_unchanged() -> None:
    coarse, fine = SampleGrid(16, 10), SampleGrid(32, 25)
    taps = sinc_lowpass(32, cutoff=6, half_width=2, rate=32)
    wave = torch.from_numpy(np.cos(2 * np.pi * 3 * coarse.places() + 0.3)).float()
    x = (wave[:, None] * wave[None, :])[None, None]
    up = Resampling(taps, 32, coarse, fine)(x)
    exact = torch.from_numpy(np.cos(2 * np.pi * 3 * fine.places() + 0.3)).float()
    canvas = slice(25, 57)
    assert (up[0, 0] - exact[:, None] * exact[None, :])[canvas, canvas].abs().max() < 2e-3
    down = Resampling(taps, 32, fine, SampleGrid(16, 0))(up)
    assert (down - x[:, :, 10:26, 10:26]).abs().max() < 4e-3


def test_grids_that_do_not_meet_the_filter_are_refused() -> None:
    with pytest.raises(ValueError, match="do not lie on grids"):
        filter_matrix(np.ones(5), 16, SampleGrid(8, 0), SampleGrid(16, 0))
