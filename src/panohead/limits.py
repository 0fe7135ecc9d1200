"""Ranges of the numbers that users give, checked in one way by the Python API and by the command line.

>>> SEED.whole(3, "seed")
3
>>> TRUNCATION_PSI.real(float("nan"), "truncation_psi")
Traceback (most recent call last):
panohead.errors.UsageError: truncation_psi is nan; give a number from -5 to 5
"""

import math
import operator
from dataclasses import dataclass
from typing import SupportsFloat

from panohead.errors import UsageError


@dataclass(frozen=True)
class NumberRange:
    """A closed range of numbers.

    Attributes:
        low, high: smallest and largest number allowed.
        unit: word that follows them in sentences ("pixels", "degrees"); "" for none.
    """

    low: float
    high: float
    unit: str = ""

    def real(self, value: object, name: str) -> float:
        """Return the value as a float.

        Args:
            value: a number of any kind; text and booleans are none.
            name: argument or option, for the sentence.

        Raises:
            UsageError: when it is no number, not finite, or outside the range.
        """
        if isinstance(value, str | bytes | bool) or not isinstance(value, SupportsFloat):
            raise UsageError(f"{name} is {_shown(value)}; give {self.wanted('a number')}")
        try:
            number = float(value)
        except (TypeError, ValueError, OverflowError, RuntimeError):  # arrays and tensors of several numbers
            raise UsageError(f"{name} is {_shown(value)}; give {self.wanted('one number')}") from None
        if not math.isfinite(number) or not self.low <= number <= self.high:
            raise UsageError(f"{name} is {self.rounded(number)}; give {self.wanted('a number')}")
        return number

    def whole(self, value: object, name: str) -> int:
        """Return the value as an int; arguments and errors as of :meth:`real`, and no fractions."""
        try:
            if isinstance(value, bool):
                raise TypeError
            number = operator.index(value)  # type: ignore[arg-type]
        except (TypeError, ValueError, RuntimeError):
            raise UsageError(f"{name} is {_shown(value)}; give {self.wanted('a whole number')}") from None
        if not self.low <= number <= self.high:
            raise UsageError(f"{name} is {number}; give {self.wanted('a whole number')}")
        return number

    def __contains__(self, value: float) -> bool:
        return bool(self.low <= value <= self.high)

    def rounded(self, number: float) -> str:
        """Return a number in ten digits; in all of its digits where it would read as an end of the range."""
        ends = [f"{end:.10g}" for end in (self.low, self.high)]
        return repr(number) if f"{number:.10g}" in ends else f"{number:.10g}"

    def wanted(self, kind: str) -> str:
        """Return what to give in words: "a number from 0 to 1"."""
        return f"{kind} from {self.low:.10g} to {self.high:.10g}{' ' * bool(self.unit)}{self.unit}"


def _shown(value: object) -> str:
    """Return a value as a sentence shows it, on one line and not long."""
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else f"{text[:57]}..."


SEED = NumberRange(0, 2**32 - 1)
"""Seeds of latents and of random numbers: those that NumPy's and the official tools' generators take."""
TRUNCATION_PSI = NumberRange(-5, 5)
"""Truncation; 0 is the mean head, 1 full variety. Beyond 0 to 1 it extrapolates."""
INTERPOLATION = NumberRange(-10, 10)
"""Position on the line between two heads; beyond 0 to 1 it extrapolates."""

YAW_DEG = NumberRange(-3600, 3600, "degrees")
PITCH_DEG = NumberRange(-90, 90, "degrees")
CAMERA_RADIUS = NumberRange(0.01, 100, "world units")
CAMERA_TARGET = NumberRange(-100, 100, "world units")
FOCAL_LENGTH = NumberRange(0.05, 100, "image sizes")
"""Focal length over image size: fields of view from 169 to 0.6 degrees."""
PRINCIPAL_POINT = NumberRange(-4, 5, "image sizes")
"""Principal point over image size: 0.5 is the center; beyond 0 to 1 it lies outside the image."""

QUALITY = NumberRange(0, 100)
"""Quality of JPEG and WebP."""
COLOR_LEVEL = NumberRange(0, 255)
RENDER_RESOLUTION = NumberRange(1, 1024, "rays per side")
IMAGE_SIDE = NumberRange(16, 4096, "pixels")
"""Side of crops, cells of contact sheets and other images that a user sizes."""
DATASET_SIDE = NumberRange(1, 8192, "pixels")
"""Side of a dataset's images, as they are or reduced."""
FRAMES = NumberRange(1, 100_000)
"""Frames of a video, of a turn or from one head to the next."""
PAGE_HEADS = NumberRange(1, 24)
"""Heads on one offline page, about 1 MB each."""
DEMO_HEADS = NumberRange(1, 100)
NEUTRAL_S = NumberRange(0.05, 60, "seconds")
"""Rest at the beginning of a video of a face."""
FPS = NumberRange(0.1, 240, "frames per second")

MESH_RESOLUTION = NumberRange(8, 1024, "nodes per side")
MESH_LEVEL = NumberRange(-1e12, 1e12)
SMOOTHING_ROUNDS = NumberRange(0, 1000)
TRIANGLES = NumberRange(100, 100_000_000)
TEXTURED_TRIANGLES = NumberRange(100, 100_000)
"""Triangles of a textured mesh: xatlas takes about 10 s for 30,000 and more than in proportion beyond."""
TEXTURE_SIDE = NumberRange(16, 8192, "pixels")
SPLAT_COUNT = NumberRange(100, 2_000_000, "splats")
SPLAT_STEPS = NumberRange(0, 10_000, "steps")

PHOTOS_OF_A_PERSON = NumberRange(1, 8)
CAMERA_JITTER = NumberRange(0, 10, "world units")
COUNT = NumberRange(0, 2**31 - 1)
"""Numbers of things without another limit."""
HEAD_NUMBER = NumberRange(1, 2**31 - 1)
WEIGHT = NumberRange(0, 1e6)
"""Weights of losses."""
STEPS = NumberRange(1, 1_000_000)
WORKERS = NumberRange(1, 1024)
BATCH = NumberRange(1, 1_000_000)
LEARNING_RATE = NumberRange(0, 10)
