"""Frames of a video file, one after the other, upright, at a constant rate and of bounded size."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from panohead.errors import PanoHeadError
from panohead.files.regular import check_regular
from panohead.media.ffmpeg import FOREIGN, ffmpeg_executable, local
from panohead.system.text import printable

VideoImage = UInt8[np.ndarray, "height width 3"]
SUFFIXES = (".mp4", ".mov", ".m4v", ".mkv", ".webm")
"""Videos that are read."""
MAX_SIDE_PX = 1280
"""Longer side of the frames; larger videos are shrunk by ffmpeg."""
MAX_FPS = 30.0
"""Frames per second that are read unless another rate is asked for."""


class VideoFrames:
    """A video's frames as an iterator; a context manager that ends ffmpeg.

    Rotation by the file's metadata is applied. The rate is constant, also of videos whose own varies.

    Args:
        path: file of one of SUFFIXES.
        fps: frames per second to read; None for the video's own mean rate, at most 30.

    Raises:
        PanoHeadError: naming the file, when it is missing, no video, or broken.
    """

    def __init__(self, path: Path, fps: float | None = None) -> None:
        self.path = path
        check_regular(path)
        if path.suffix.lower() not in SUFFIXES:
            raise PanoHeadError(f"{path} is not a video that is read; give {', '.join(SUFFIXES)}")
        ffmpeg_executable()
        if fps is None:
            frames, meta = self._open([])
            frames.close()
            fps = min(float(meta["fps"]) or MAX_FPS, MAX_FPS)
        shrink = f"scale='min({MAX_SIDE_PX},iw)':'min({MAX_SIDE_PX},ih)':force_original_aspect_ratio=decrease"
        self._frames, meta = self._open(["-vf", f"fps={fps:g},{shrink}"])
        self.size: tuple[int, int] = meta["size"]
        """Width and height in pixels."""
        self.fps = float(fps)
        """Frames per second."""
        self.seconds = float(meta["duration"])
        """Duration that the file states; 0 where it does not."""

    def __enter__(self) -> "VideoFrames":
        return self

    def __exit__(self, *_: object) -> None:
        self._frames.close()

    def __iter__(self) -> Iterator[VideoImage]:
        """Yield the frames.

        Raises:
            PanoHeadError: when the video breaks off.
        """
        width, height = self.size
        try:
            for content in self._frames:
                yield np.frombuffer(content, np.uint8).reshape(height, width, 3)
        except (OSError, RuntimeError) as error:
            raise self._unreadable(error) from error

    def _open(self, output: list[str]) -> tuple[Any, dict[str, Any]]:
        import imageio_ffmpeg

        frames = imageio_ffmpeg.read_frames(
            local(self.path), input_params=["-v", "info", *FOREIGN], output_params=["-map", "0:v:0", *output]
        )
        try:
            return frames, next(frames)
        except (OSError, RuntimeError, ValueError, LookupError, AttributeError, StopIteration) as error:
            raise self._unreadable(error) from error

    def _unreadable(self, error: BaseException) -> PanoHeadError:
        lines = [line.strip() for line in str(error).splitlines() if line.strip(" =")]
        cause = printable(lines[-1]) if lines else "no frame in it"
        return PanoHeadError(f"cannot read {self.path} as a video ({cause}); convert it to .mp4 and try again")
