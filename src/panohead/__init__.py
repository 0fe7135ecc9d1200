"""PanoHead: whole 3D human heads, from a GAN that learned them from ordinary photos.

>>> from panohead import load, Camera
>>> head = load("demo").sample(seed=0, truncation_psi=0.7)
>>> head.render(Camera.orbit(yaw_deg=135, pitch_deg=10)).to_pil().save("head.png")
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from panohead.errors import PanoHeadError
    from panohead.frame import Frame
    from panohead.geometry import Camera
    from panohead.head import Head
    from panohead.predictor import Predictor, load

__all__ = ["Camera", "Frame", "Head", "PanoHeadError", "Predictor", "load"]
__version__ = "0.1.0"

_HOMES = {
    "Camera": "panohead.geometry",
    "Frame": "panohead.frame",
    "Head": "panohead.head",
    "PanoHeadError": "panohead.errors",
    "Predictor": "panohead.predictor",
    "load": "panohead.predictor",
}


def __getattr__(name: str) -> object:
    """Import the public names when they are first used, so that ``panohead --help`` need not wait for torch."""
    if name not in _HOMES:
        raise AttributeError(f"module 'panohead' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
