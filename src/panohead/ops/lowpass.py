"""Low-pass filters of known cutoff and transition band, for alias-free resampling (Karras et al. 2021, appendix C).

All frequencies are in cycles per unit of length and all rates in samples per unit of length; the unit is free (the
alias-free backbone takes the side of its canvas).
"""

import math

import numpy as np

Taps = np.ndarray
"""Filter taps, float64; 1-D for separable filters, 2-D for radial ones."""


def kaiser_beta(taps: int, transition: float, rate: float) -> float:
    """Return the shape of the Kaiser window that gives a filter of ``taps`` taps a transition band of this width.

    Kaiser's empirical formulas: the length and the transition band decide the attenuation, the attenuation decides the
    shape.

    Args:
        taps: length of the filter.
        transition: full width of the transition band.
        rate: sampling rate.
    """
    attenuation = 2.285 * (taps - 1) * math.pi * transition / (rate / 2) + 7.95  # decibels
    if attenuation > 50:
        return 0.1102 * (attenuation - 8.7)
    if attenuation > 21:
        return 0.5842 * (attenuation - 21) ** 0.4 + 0.07886 * (attenuation - 21)
    return 0.0


def sinc_lowpass(taps: int, *, cutoff: float, half_width: float, rate: float) -> Taps:
    """Return the separable low-pass: a sinc under a Kaiser window, one axis of it, with a sum of 1.

    Args:
        taps: length of the filter; an even one lies between the samples.
        cutoff: frequency at which half of the amplitude passes; at most half of the rate.
        half_width: half of the width of the transition band around the cutoff.
        rate: sampling rate of the taps.
    """
    places = np.arange(taps) - (taps - 1) / 2  # samples from the middle
    window = np.kaiser(taps, kaiser_beta(taps, 2 * half_width, rate))
    response = np.sinc(2 * cutoff / rate * places) * window
    return np.asarray(response / response.sum(), np.float64)


def radial_lowpass(taps: int, *, cutoff: float, half_width: float, rate: float) -> Taps:
    """Return the radially symmetric low-pass: a jinc under a Kaiser window of the radius, 2-D, with a sum of 1.

    It keeps a disc of frequencies where the separable one keeps a square, so that it commutes with rotations.
    Arguments as of :func:`sinc_lowpass`.
    """
    places = np.arange(taps) - (taps - 1) / 2
    radius = np.hypot(places[:, None], places[None, :]) / rate
    response = jinc(radius, cutoff) * kaiser_window(radius * rate, taps / 2, kaiser_beta(taps, 2 * half_width, rate))
    return np.asarray(response / response.sum(), np.float64)


def jinc(radius: np.ndarray, cutoff: float) -> np.ndarray:
    """Return the impulse response of the ideal disc of frequencies up to ``cutoff``: cutoff J1(2 pi cutoff r) / r."""
    from scipy.special import j1  # imported late: most models need no Bessel functions

    safe = np.where(radius == 0, 1.0, radius)
    return np.where(radius == 0, math.pi * cutoff**2, cutoff * j1(2 * math.pi * cutoff * safe) / safe)


def kaiser_window(distance: np.ndarray, half_length: float, beta: float) -> np.ndarray:
    """Return the continuous Kaiser window at distances from its middle; 0 beyond ``half_length``."""
    from scipy.special import i0  # several times as fast as NumPy's

    inside = 1 - np.square(distance / half_length)
    return np.where(inside >= 0, i0(beta * np.sqrt(np.maximum(inside, 0))) / i0(beta), 0.0)
