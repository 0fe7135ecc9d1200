"""All marks of a file: what it declares, its C2PA manifest, the watermark in its pixels."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from panohead.errors import PanoHeadError
from panohead.files.image import decode_image
from panohead.files.regular import path_of
from panohead.media.content_credentials import MIME_TYPES, Credentials, read_credentials
from panohead.media.ffmpeg import FOREIGN, local, run_ffmpeg
from panohead.media.images import IMAGE_SUFFIXES
from panohead.media.marks import Mark, read_mark
from panohead.media.watermark import MIN_SIDE_PX, Watermark, find_watermark

_VIDEO_SUFFIXES = (".mp4", ".webm", ".mkv", ".mov")
_FRAMES = 4
_MAX_SIDE_PX = 4096


@dataclass(frozen=True)
class FileMarks:
    """Marks that were found in a file.

    Attributes:
        declared: IPTC term and notice, in the metadata of every format.
        credentials: C2PA manifest; None for none.
        may_hold_credentials: the format can hold one.
        watermark: result of the search; None where there are no pixels to search.
    """

    declared: Mark
    credentials: Credentials | None
    may_hold_credentials: bool
    watermark: Watermark | None

    @property
    def synthetic(self) -> bool:
        """At least one mark says that a program made it."""
        manifest = self.credentials is not None and self.credentials.synthetic
        return self.declared.synthetic or manifest or (self.watermark is not None and self.watermark.found)

    def sentence(self) -> str:
        """Return all of it as one line for people."""
        parts = [_declared(self.declared)]
        if self.credentials is not None:
            parts.append(_manifest(self.credentials))
        elif self.may_hold_credentials:
            parts.append("no C2PA manifest")
        if self.watermark is not None:
            parts.append(_pattern(self.watermark))
        return "; ".join(parts)


def find_marks(path: str | Path) -> FileMarks:
    """Look for all marks in an image, GIF, video, mesh, density volume or page.

    Raises:
        PanoHeadError: when the file is missing or broken, or is none of these.
    """
    path = path_of(path)
    declared = read_mark(path)
    suffix = path.suffix.lower()
    return FileMarks(declared, read_credentials(path), suffix in MIME_TYPES, _search(path, suffix))


def _search(path: Path, suffix: str) -> Watermark | None:
    if suffix in (*IMAGE_SUFFIXES, ".gif"):
        pixels = [_pixels(path)]
    elif suffix in _VIDEO_SUFFIXES:
        pixels = _frames(path)
    else:
        return None
    return find_watermark(*pixels) if pixels and min(pixels[0].shape[:2]) >= MIN_SIDE_PX // 2 else None


def _pixels(path: Path) -> UInt8[np.ndarray, "height width 3"]:
    try:
        return np.asarray(decode_image(path, max_side_px=_MAX_SIDE_PX).image.convert("RGB"))
    except OSError as error:
        raise PanoHeadError(f"cannot read {path} as an image ({error.strerror or error}); check it") from error


def _frames(path: Path) -> list[UInt8[np.ndarray, "height width 3"]]:
    """Return a few frames of the first part of a video."""
    with tempfile.TemporaryDirectory(prefix="panohead-") as folder:
        every = ["-vf", r"select=not(mod(n\,6))", "-fps_mode", "vfr", "-frames:v", str(_FRAMES)]
        run_ffmpeg(path, [*FOREIGN, "-i", local(path), *every, "-an", str(Path(folder) / "%d.png")])
        return [_pixels(one) for one in sorted(Path(folder).glob("*.png"))]


def _declared(mark: Mark) -> str:
    if not mark.synthetic:
        return "no synthetic mark in its metadata" + (f" (written by {mark.software})" if mark.software else "")
    what = f"IPTC digital source type {mark.term}" if mark.term else "notice"
    return f"synthetic ({what}{f', {mark.software}' if mark.software else ''})"


def _manifest(found: Credentials) -> str:
    if found.state == "unread":
        return "a C2PA manifest that is not read (pip install 'panohead[c2pa]')"
    by = f"signed by {found.issuer}, whom nobody has confirmed" if found.issuer else "signed by an unnamed signer"
    if found.state == "invalid":
        return f"an INVALID C2PA manifest ({found.problem or 'it does not fit the file'})"
    return f"valid C2PA manifest ({', '.join(found.terms) or 'no digital source type'}), {by}"


def _pattern(found: Watermark) -> str:
    if not found.found:
        return "no watermark"
    size = "" if abs(found.scale - 1) < 0.02 else f", at {found.scale:.2f} times its size"
    return f"watermark (score {found.score:.0f}{size})"
