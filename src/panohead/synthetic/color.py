"""Colors from pigments: skin from melanin and haemoglobin, hair from eu- and pheomelanin. All linear RGB."""

import numpy as np
from jaxtyping import Float

_SKIN = (np.array([0.70, 0.52, 0.42]), np.array([0.75, 0.95, 1.14]), np.array([0.06, 0.45, 0.43]))
_HAIR = (np.array([0.85, 0.72, 0.55]), np.array([3.1, 4.0, 5.3]), np.array([0.12, 0.8, 1.7]))
_LUMA = np.array([0.2126, 0.7152, 0.0722])
MELANIN_RANGE = (0.05, 2.5)


def skin_albedo(
    melanin: Float[np.ndarray, "*shape"], haemoglobin: Float[np.ndarray, "*shape"]
) -> Float[np.ndarray, "*shape 3"]:
    """Return skin albedo by Beer-Lambert absorption; melanin .05 to 2.5, haemoglobin .3 to .9 for a face."""
    base, brown, red = _SKIN
    return base * np.exp(-melanin[..., None] * brown - haemoglobin[..., None] * red)


def hair_albedo(
    melanin: Float[np.ndarray, "*shape"], red: Float[np.ndarray, "*shape"]
) -> Float[np.ndarray, "*shape 3"]:
    """Return hair albedo from blond (melanin 0) to black (1); ``red`` 0 to 1 adds pheomelanin."""
    base, dark, ginger = _HAIR
    return base * np.exp(-(melanin[..., None] ** 1.5) * dark - red[..., None] * ginger)


def lightness(albedo: Float[np.ndarray, "*shape 3"]) -> Float[np.ndarray, "*shape"]:
    """Return CIE L*, 0 to 100, of linear RGB in [0, 1]."""
    luminance = albedo @ _LUMA
    return 116 * np.cbrt(np.maximum(luminance, 0.008856)) - 16


def melanin_for_tone(tone: float) -> float:
    """Return the melanin of skin tone ``tone`` in [0, 1], 0 lightest: equal steps of tone are equal steps of L*."""
    melanin = np.linspace(*MELANIN_RANGE, 256)
    steps = lightness(skin_albedo(melanin, np.full(256, 0.6)))
    wanted = steps[0] + tone * (steps[-1] - steps[0])
    return float(np.interp(-wanted, -steps, melanin))
