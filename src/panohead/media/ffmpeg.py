"""The ffmpeg program: its place, one run of it, and its errors as one sentence."""

import re
import shutil
import subprocess
from pathlib import Path

from panohead.errors import PanoHeadError

_REMEDY = "run 'pip install imageio-ffmpeg' or set IMAGEIO_FFMPEG_EXE, or write a folder of PNG files instead"

FOREIGN = ("-protocol_whitelist", "file", "-format_whitelist", "mov,matroska")
"""Options before an input that others made: ffmpeg tells formats by content, and playlists lead to other files."""


def ffmpeg_executable() -> str:
    """Return the path of ffmpeg (imageio-ffmpeg brings one).

    Raises:
        PanoHeadError: when there is none.
    """
    try:
        import imageio_ffmpeg

        executable = str(imageio_ffmpeg.get_ffmpeg_exe())
    except (ImportError, RuntimeError) as error:
        raise PanoHeadError(f"videos need ffmpeg and none was found; {_REMEDY}") from error
    if shutil.which(executable) is None:
        raise PanoHeadError(f"videos need ffmpeg and {executable} is not a program; {_REMEDY}")
    return executable


def local(path: Path) -> str:
    """Return a path as ffmpeg takes it for a file; in "a:b/video.mp4" it would look for a protocol called "a"."""
    return f"file:{path}"


def run_ffmpeg(path: Path, arguments: list[str]) -> bytes:
    """Run ffmpeg to its end and return its standard output.

    Raises:
        PanoHeadError: when it fails; names ``path``.
    """
    command = [ffmpeg_executable(), "-v", "error", "-nostdin", "-y", *arguments]
    result = subprocess.run(command, capture_output=True, check=False)
    if result.returncode != 0:
        raise failure(path, result.stderr)
    return result.stdout


def failure(path: Path, log: bytes) -> PanoHeadError:
    """Return the error for a failed run. The log's first line names the cause, after "[libx264 @ 0x55..]"."""
    lines = [line.strip() for line in log.decode("utf-8", "replace").splitlines() if line.strip()]
    cause = re.sub(r"^(\[[^]]*\]\s*)+", "", lines[0]) if lines else "it gave no reason"
    return PanoHeadError(f"ffmpeg failed on {path}: {cause}")
