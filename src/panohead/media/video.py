"""Videos, frame by frame: H.264, VP9 with or without transparency, GIF, or a folder of PNG files.

Frames are streamed to ffmpeg (which imageio-ffmpeg brings along), so memory does not grow with length. The video
appears under its name only when it is whole: it is written beside it under a temporary name, removed on any exception.
"""

from pathlib import Path
from types import TracebackType

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from panohead.errors import PanoHeadError, UsageError
from panohead.limits import FPS
from panohead.media.provenance import COMPOSITE, GENERATED, SourceType, video_metadata
from panohead.media.sinks import Encoder, Gif, PngFolder, VideoFrame
from panohead.media.watermark import add_watermark, is_enabled
from panohead.system.atomic_write import prepare_folder

VIDEO_SUFFIXES = (".mp4", ".webm", ".gif")
# sRGB in, BT.709 matrix and limited range out, and say so: untagged videos change color from one program to the next.
_COLOR = (
    "scale=in_range=pc:out_range=tv:out_color_matrix=bt709:flags=bicubic+accurate_rnd+full_chroma_int,"
    "setparams=range=tv:colorspace=bt709:color_primaries=bt709:color_trc=iec61966-2-1"
)
_H264 = "-c:v libx264 -movflags +faststart"
_VP9 = "-c:v libvpx-vp9 -b:v 0 -deadline good -cpu-used 4 -row-mt 1"


MIN_VIDEO_SIDE = 256
"""Pixels; smaller images are enlarged by a whole factor in videos."""


def enlarged(
    pixels: UInt8[np.ndarray, "height width channel"],
) -> UInt8[np.ndarray, "video_height video_width channel"]:
    """Return a frame at least MIN_VIDEO_SIDE pixels wide, since video players show videos at their own size.

    Args:
        pixels: RGB, or RGBA with straight alpha.
    """
    factor = -(-MIN_VIDEO_SIDE // pixels.shape[1])
    if factor == 1:
        return pixels
    size = (pixels.shape[1] * factor, pixels.shape[0] * factor)
    # Alpha apart from colors: Pillow would lose the colors of transparent pixels, which videos mix into the outline.
    parts = [pixels[..., :3], *([pixels[..., 3]] if pixels.shape[2] == 4 else [])]
    return np.dstack([np.asarray(Image.fromarray(p).resize(size, Image.Resampling.BICUBIC)) for p in parts])


class VideoWriter:
    """Context manager that writes one video; the suffix chooses the format.

    ``.mp4``: H.264, yuv420p, plays in browsers; an odd size grows to the next even one by a repeated row or column.
    ``.webm``: VP9, transparent if frames have four channels.
    ``.gif``: one palette for the whole video, transparency on or off by pixel, at most 50 frames a second.
    No suffix: a folder of ``frame_00000.png`` ..., three or four channels.

    Args:
        path: file or folder to write.
        fps: frames per second.
        source: IPTC term of the synthetic mark; None for videos of photographs.
        crf: constant quality, lower is better; None takes 18 for mp4 and 24 for webm.

    Raises:
        PanoHeadError: when the suffix is unknown, there is no ffmpeg, frames differ in size, there is no frame at all,
            the encoder fails, or the folder cannot be written.

    >>> with VideoWriter("turntable.mp4", fps=30) as video:
    ...     video.write(to_uint8(frame.image))
    """

    def __init__(
        self,
        path: str | Path,
        fps: int | float,
        *,
        source: SourceType | None = "trainedAlgorithmicMedia",
        crf: int | None = None,
    ) -> None:
        self.path = Path(path)
        self.fps = fps
        self.frames_written = 0
        self._source: SourceType | None = source
        self._crf = crf
        self._shape: tuple[int, ...] = ()
        self._sink: Encoder | Gif | PngFolder | None = None
        try:
            FPS.real(fps, "frames per second")
        except UsageError as error:
            raise UsageError(f"{self.path}: {error}") from None
        if self.path.suffix.lower() not in ("", *VIDEO_SUFFIXES):
            known = f"{', '.join(VIDEO_SUFFIXES)}, or no suffix for a folder of PNG files"
            raise PanoHeadError(f"{self.path}: cannot write videos of type '{self.path.suffix}'; use {known}")

    def __enter__(self) -> "VideoWriter":
        prepare_folder(self.path, is_folder=self.path.suffix == "")
        return self

    def write(self, frame: VideoFrame) -> None:
        """Append one frame: uint8, 3 channels (RGB) or 4 (straight alpha). The first fixes the size."""
        if self._sink is None:
            self._shape = frame.shape
            self._sink = self._open(frame)
        if frame.shape != self._shape:
            raise PanoHeadError(
                f"{self.path}: frame {self.frames_written} is {frame.shape}, the first was {self._shape}; keep one size"
            )
        if self._source in (GENERATED, COMPOSITE) and is_enabled() and not isinstance(self._sink, PngFolder):
            frame = add_watermark(frame)  # images of a folder get theirs when they are written
        self._sink.write(frame)
        self.frames_written += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        sink, self._sink = self._sink, None
        if sink is None:
            if kind is None:
                raise PanoHeadError(f"{self.path}: no frame was written; a video needs at least one")
            return
        try:
            if kind is None:
                sink.finish()
        finally:
            sink.discard()

    def _open(self, frame: VideoFrame) -> Encoder | Gif | PngFolder:
        height, width, channels = frame.shape
        suffix = self.path.suffix.lower()
        if channels not in (3, 4):
            raise PanoHeadError(f"{self.path}: frames need 3 or 4 channels, not {channels}")
        if suffix == "":
            return PngFolder(self.path, self._source)
        if suffix == ".mp4" and channels == 4:
            raise PanoHeadError(f"{self.path}: mp4 has no transparency; use .webm, or frames with 3 channels")
        tags = [part for key, value in video_metadata(self._source).items() for part in ("-metadata", f"{key}={value}")]
        if suffix == ".gif":
            return Gif(self.path, (width, height), channels, self.fps, self._source)
        if suffix == ".mp4":
            size, pixels = (width + width % 2, height + height % 2), "yuv420p"
            codec = [*_H264.split(), "-crf", str(18 if self._crf is None else self._crf)]
        else:
            size, pixels = (width, height), "yuv420p" if channels == 3 else "yuva420p"
            codec = [*_VP9.split(), "-crf", str(24 if self._crf is None else self._crf)]
            if channels == 4:
                # libvpx refuses alternate reference frames beside an alpha channel.
                codec += ["-auto-alt-ref", "0"]
        return Encoder(self.path, size, channels, self.fps, ["-vf", f"{_COLOR},format={pixels}", *codec, *tags])
