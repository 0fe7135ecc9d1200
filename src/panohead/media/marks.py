"""Reading of the marks that say that a file is synthetic: images, videos, meshes, splats, density volumes and pages."""

import re
from dataclasses import dataclass
from pathlib import Path

from PIL import ExifTags

from panohead.errors import PanoHeadError
from panohead.files.archive import open_zip, read_member
from panohead.files.image import BrokenImage, open_image
from panohead.files.regular import check_regular, open_regular, path_of, read_regular
from panohead.media.ffmpeg import FOREIGN, local, run_ffmpeg
from panohead.media.provenance import NOTICE

_VIDEO_SUFFIXES = (".mp4", ".webm", ".mkv", ".mov")
_HEADED_SUFFIXES = (".glb", ".obj", ".mtl", ".ply", ".stl", ".mrc", ".map", ".html", ".htm", ".spz")
"""Suffixes of the formats whose marks stand before their data."""
_HEAD_BYTES = 65_536
"""Bytes that are read of those."""
_3MF_MODEL = "3D/3dmodel.model"

_TERM = re.compile(r"digitalsourcetype/(\w*[aA]lgorithmicMedia)")
_SOFTWARE = re.compile(r"PanoHead (?:\d+(?:\.\w+)+)")
_STL_LABEL = re.compile(r"^PanoHead .*, synthetic")
"""Short form of the mark in the 80 bytes of an STL file's header."""


@dataclass(frozen=True)
class Mark:
    """Declaration of a file about its origin; it can be stripped or forged, so it is no proof.

    Attributes:
        term: IPTC digital source type, such as "trainedAlgorithmicMedia"; None for none.
        notice: the sentence of this package is in it.
        software: name and version of this package, when they are in it.
    """

    term: str | None
    notice: bool
    software: str | None

    @property
    def synthetic(self) -> bool:
        """The file says that a program made it."""
        return self.notice or self.term is not None


def read_mark(path: str | Path) -> Mark:
    """Read the mark of a file.

    It may be an image, GIF, video, mesh (GLB, OBJ, PLY, STL, 3MF, USDZ), splats (PLY, SPZ), density volume (MRC) or
    page.

    Raises:
        PanoHeadError: when the file is missing or broken, or is none of these.
    """
    path = path_of(path)
    try:
        check_regular(path)
    except FileNotFoundError as error:
        raise PanoHeadError(f"{path} does not exist; give an image, a video, a mesh or a page") from error
    except OSError as error:
        reason = error.strerror
        raise PanoHeadError(f"{path} cannot be read ({reason}); give an image, a video, a mesh or a page") from error
    try:
        texts = _texts(path)
    except (OSError, BrokenImage, KeyError, IndexError) as error:
        kind = {".3mf": "a 3MF file", ".usdz": "a USDZ file"}.get(path.suffix.lower(), "an image")
        raise PanoHeadError(f"cannot read {path} as {kind}; check that the file is whole") from error
    term, made_by = _TERM.search(texts), _SOFTWARE.search(texts)
    notice = NOTICE in texts or _STL_LABEL.search(texts) is not None
    return Mark(term and term.group(1), notice, made_by and made_by.group())


def is_marked_synthetic(path: str | Path) -> bool:
    """Return True if a file carries an IPTC term of algorithmic media or the notice of this package.

    Raises:
        PanoHeadError: as :func:`read_mark`.
    """
    return read_mark(path).synthetic


def _texts(path: Path) -> str:
    suffix = path.suffix.lower()
    if suffix == ".gif":
        content = read_regular(path)
        # Our comment is the last thing before the trailer, Pillow's the first thing after the header.
        return (content[:4096] + content[-1024:]).decode("latin-1")
    if suffix in _VIDEO_SUFFIXES:
        return run_ffmpeg(path, [*FOREIGN, "-i", local(path), "-f", "ffmetadata", "-"]).decode("utf-8", "replace")
    if suffix == ".3mf":
        with open_zip(path) as archive:
            return read_member(archive, archive.getinfo(_3MF_MODEL))[:_HEAD_BYTES].decode("utf-8", "replace")
    if suffix == ".usdz":
        with open_zip(path) as archive:
            first = archive.infolist()[0]  # the root layer, text
            return read_member(archive, first)[:_HEAD_BYTES].decode("utf-8", "replace")
    if suffix in _HEADED_SUFFIXES:
        with open_regular(path) as file:
            return file.read(_HEAD_BYTES).decode("utf-8", "replace")
    return _image_texts(path)


def _image_texts(path: Path) -> str:
    with open_image(path) as image:
        exif = image.getexif()
        texts = [str(exif.get(tag, "")) for tag in (ExifTags.Base.ImageDescription, ExifTags.Base.Software)]
        for value in image.info.values():
            texts.append(value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value))
    return "\n".join(texts)
