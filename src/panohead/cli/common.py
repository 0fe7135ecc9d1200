"""Parts that several commands share: numbers, colors and folders from options, progress bars."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import tyro

from panohead.alignment.detector_models import DetectorModels
from panohead.cli.running.progress_bar import progress_bar
from panohead.errors import PanoHeadError, UsageError

if TYPE_CHECKING:
    from PIL import Image

    from panohead.predictor import Predictor


VIDEO_SUFFIXES = {"mp4": ".mp4", "gif": ".gif", "webm": ".webm", "png": ""}
"""File suffixes by the name of a video format; png is a folder of files."""
MAX_BACKGROUND_PX = 4096
"""Longer side in pixels to which larger backgrounds are shrunk."""
TRANSPARENT = "transparent"
"""Name of the background that cuts the head out."""


@dataclass(kw_only=True)
class Model:
    """Options of the generator and its device."""

    checkpoint: str = "demo"
    """A bundled name ("demo"), a .safetensors file, or an official .pkl (read without executing it)."""
    device: str = "cpu"
    """cpu, cuda, cuda:1, mps."""
    precision: Literal["parity", "speed"] = "parity"
    """On a GPU: as exact as a CPU, or TensorFloat-32 and half precision."""

    def load(self) -> "Predictor":
        """Load the generator.

        Raises:
            PanoHeadError: when there is no such checkpoint, or the device cannot be used.
        """
        from panohead.predictor import load

        return load(self.checkpoint, self.device, precision=self.precision)


def parse_numbers(text: str, what: str = "seeds") -> list[int]:
    """Parse numbers and ranges, separated by commas, semicolons or spaces: "0-3, 8 9" gives [0, 1, 2, 3, 8, 9].

    Raises:
        UsageError: for anything else, or more than 100,000 numbers.
    """
    numbers: list[int] = []
    # Spaces around the line of a range belong to it; all others separate: "1 2 3" are three numbers.
    for part in re.split(r"\s*[,;]\s*|\s+", re.sub(r"\s*-\s*", "-", text.strip())):
        match = re.fullmatch(r"(\d{1,10})(?:-(\d{1,10}))?", part)
        if match is None:
            raise UsageError(f"{what} {text!r} are not understood; give numbers and ranges such as 0-7,12")
        first = int(match[1])
        last = first if match[2] is None else int(match[2])
        if last < first:
            raise UsageError(f"{what} {part!r} count down; give {last}-{first}, or the numbers one by one")
        if last - first > 100_000 or last >= 2**32:
            raise UsageError(f"{what} {part!r} is not a range of at most 100,000 numbers below 2^32")
        numbers.extend(range(first, last + 1))
    return numbers


def parse_background(text: str) -> "tuple[int, int, int] | Image.Image":
    """Parse a background: a color ("white", "#aabbcc") or an image's path.

    Raises:
        PanoHeadError: when it is neither.
    """
    from PIL import ImageColor

    from panohead.files.image import decode_image

    try:
        return ImageColor.getcolor(text, "RGB")  # type: ignore[return-value]
    except ValueError:
        pass
    try:
        return decode_image(Path(text), max_side_px=MAX_BACKGROUND_PX).image.convert("RGB")
    except FileNotFoundError:
        raise PanoHeadError(f"the background {text!r} is neither a color such as #ffffff nor an image") from None
    except (PanoHeadError, OSError) as error:
        reason = getattr(error, "strerror", None) or error
        raise PanoHeadError(f"the background {text} is not a readable image ({reason}); give another") from error


def changed_options(command: Any, *names: str) -> list[str]:
    """Return those of a command's options, as they are typed, that do not have their default value."""
    defaults = {field.name: field.default for field in fields(command)}
    changed = [name for name in names if getattr(command, name) != defaults[name]]
    # A switch that is on by default can only be typed as --no-...
    return [f"--{'no-' if getattr(command, name) is False else ''}{name.replace('_', '-')}" for name in changed]


def check_needed(command: Any, needed: str, is_there: bool, *names: str) -> None:
    """Refuse options that would do nothing.

    Args:
        command: dataclass of the options.
        needed: option without which the others do nothing, as it is typed.
        is_there: it was given.
        names: fields of the others.

    Raises:
        UsageError: when one of the others was given and the needed one was not.
    """
    changed = [] if is_there else changed_options(command, *names)
    if changed:
        raise UsageError(f"{changed[0]} does nothing without {needed}; give both or neither")


def output_folder(path: Path) -> Path:
    """Make the folder of the results.

    Raises:
        PanoHeadError: when that cannot be done.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PanoHeadError(f"cannot make the folder {path} ({error.strerror}); choose another with --out") from error
    return path


@contextmanager
def counting(what: str, total: int) -> Iterator[Callable[[], None]]:
    """Show a progress bar with count and time left on standard error; yield a function to call after each step."""
    with progress_bar(what, total) as bar:
        yield bar.advance


@dataclass(kw_only=True)
class DetectorOptions:
    """Poses and masks of the user's own, and detectors in place of MediaPipe's."""

    poses: Path | None = None
    """CSV with file, yaw_deg, pitch_deg, roll_deg and optionally box (left top right bottom); a box alone chooses the
    head."""
    masks: Path | None = None
    """Folder or zip with your own masks of the whole photos, by the same names."""
    models: tyro.conf.OmitArgPrefixes[DetectorModels] = field(default_factory=DetectorModels)

    def check_detectors(self) -> None:
        """Refuse paths that do not exist and options without effect; the file of poses is checked when it is read.

        Raises:
            UsageError: naming the option and the path.
        """
        check_needed(self.models, "--pose-model", self.models.pose_model is not None, "pose_kind")
        given = {} if self.masks is None else {"masks": self.masks}
        for name, path in {**given, **self.models.files}.items():
            if not path.exists():
                raise UsageError(f"--{name.replace('_', '-')} {path} does not exist")
