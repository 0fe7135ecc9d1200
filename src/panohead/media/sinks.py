"""Sinks for the frames of a video: an ffmpeg process, a GIF made in two passes, a folder of PNG files.

All three take frames by ``write`` and hold them under a temporary name; ``finish`` renames it, ``discard``
removes whatever is left and may be called at any time.
"""

import contextlib
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import IO

import numpy as np
from jaxtyping import UInt8

from panohead.errors import PanoHeadError
from panohead.media.ffmpeg import failure, ffmpeg_executable, local, run_ffmpeg
from panohead.media.images import save_image
from panohead.media.provenance import SourceType, append_gif_comment
from panohead.system.atomic_write import temporary_name, unwritable

VideoFrame = UInt8[np.ndarray, "height width channel"]
# Browsers slow a GIF frame shorter than 2 hundredths of a second down to 10.
_GIF_MAX_FPS = 50.0


class Encoder:
    """One ffmpeg process that reads raw frames from a pipe and writes a temporary file, renamed at the end."""

    def __init__(
        self, path: Path, size: tuple[int, int], channels: int, fps: int | float, arguments: list[str]
    ) -> None:
        self.path, self.size = path, size
        self.temporary = temporary_name(path)
        pixels = {3: "rgb24", 4: "rgba"}[channels]
        source = ["-f", "rawvideo", "-pix_fmt", pixels, "-s", f"{size[0]}x{size[1]}", "-r", f"{fps:g}", "-i", "-"]
        command = [ffmpeg_executable(), "-v", "error", "-y", *source, "-an", *arguments, local(self.temporary)]
        # A file, not a pipe: nobody reads while frames are written, and a full pipe would block ffmpeg.
        self._log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=self._log)

    def write(self, frame: VideoFrame) -> None:
        """Append a frame; one smaller than the video is padded by its last row and column.

        Raises:
            PanoHeadError: when ffmpeg has stopped.
        """
        height, width = frame.shape[:2]
        if (width, height) != self.size:
            frame = np.pad(frame, ((0, self.size[1] - height), (0, self.size[0] - width), (0, 0)), mode="edge")
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(np.ascontiguousarray(frame).data)
        except OSError as error:  # the pipe is broken: ffmpeg has stopped and its log says why
            raise self._stopped() from error

    def finish(self) -> None:
        """End the video and rename it.

        Raises:
            PanoHeadError: when ffmpeg has failed, or the file cannot be written.
        """
        if self._close() != 0:
            raise self._stopped()
        try:
            os.replace(self.temporary, self.path)
        except OSError as error:
            raise unwritable(self.path, error) from error

    def discard(self) -> None:
        """Stop ffmpeg if it runs, and remove the temporary file if it is there."""
        if self._process.poll() is None:
            self._process.kill()
        self._close()
        self._log.close()
        self.temporary.unlink(missing_ok=True)

    def _close(self) -> int:
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        return self._process.wait()

    def _stopped(self) -> PanoHeadError:
        self._close()
        self._log.seek(0)
        return failure(self.path, self._log.read())


class Gif:
    """A lossless video first, then two passes over it (palette, image), so that frames never pile up in memory."""

    def __init__(
        self, path: Path, size: tuple[int, int], channels: int, fps: int | float, source: SourceType | None
    ) -> None:
        self.path, self.fps, self.source, self.transparent = path, fps, source, channels == 4
        self.temporary = temporary_name(path)
        self.palette = self.temporary.with_suffix(".png")
        self.lossless = self.temporary.with_suffix(".mkv")
        pixels = "bgra" if self.transparent else "bgr0"
        self._encoder = Encoder(self.lossless, size, channels, fps, ["-c:v", "ffv1", "-pix_fmt", pixels])

    def write(self, frame: VideoFrame) -> None:
        """Append a frame to the lossless video."""
        self._encoder.write(frame)

    def finish(self) -> None:
        """Make the palette, then the GIF, mark and rename it.

        Raises:
            PanoHeadError: when ffmpeg fails, or the file cannot be written.
        """
        self._encoder.finish()
        rate = f"fps={min(self.fps, _GIF_MAX_FPS):g}"
        reserve = int(self.transparent)
        generate = f"{rate},palettegen=reserve_transparent={reserve}:stats_mode=full"
        run_ffmpeg(self.path, ["-i", local(self.lossless), "-vf", generate, "-update", "1", local(self.palette)])
        use = f"[0:v]{rate}[v];[v][1:v]paletteuse=dither=sierra2_4a:diff_mode=rectangle:alpha_threshold=128"
        inputs = ["-i", local(self.lossless), "-i", local(self.palette)]
        run_ffmpeg(self.path, [*inputs, "-lavfi", use, "-loop", "0", local(self.temporary)])
        try:
            if self.source is not None:
                append_gif_comment(self.temporary, self.source)
            os.replace(self.temporary, self.path)
        except OSError as error:
            raise unwritable(self.path, error) from error

    def discard(self) -> None:
        """Remove all temporary files."""
        self._encoder.discard()
        for leftover in (self.lossless, self.palette, self.temporary):
            leftover.unlink(missing_ok=True)


class PngFolder:
    """Numbered PNG files in a folder renamed into place at the end; replaces an older sequence, nothing else."""

    def __init__(self, path: Path, source: SourceType | None) -> None:
        self.path, self._source, self._count = path, source, 0
        if path.exists() and not self._is_sequence():
            raise PanoHeadError(f"{path} exists and holds more than frames; choose another folder")
        self.temporary = temporary_name(path)

    def _is_sequence(self) -> bool:
        names = [entry.name for entry in self.path.iterdir()] if self.path.is_dir() else [""]
        return all(re.fullmatch(r"frame_\d+\.png", name) for name in names)

    def write(self, frame: VideoFrame) -> None:
        """Write the next file."""
        save_image(frame, self.temporary / f"frame_{self._count:05d}.png", source=self._source)
        self._count += 1

    def finish(self) -> None:
        """Rename the folder; an older sequence of frames of that name is replaced.

        Raises:
            PanoHeadError: when it cannot be written.
        """
        try:
            if self.path.exists() and self._is_sequence():
                shutil.rmtree(self.path)
            os.replace(self.temporary, self.path)
        except OSError as error:
            raise unwritable(self.path, error) from error

    def discard(self) -> None:
        """Remove the temporary folder if it is there."""
        shutil.rmtree(self.temporary, ignore_errors=True)
