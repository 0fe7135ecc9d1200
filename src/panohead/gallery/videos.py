"""Videos of heads: turntables, and walks through latent space."""

from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8

from panohead.frame import Frame
from panohead.gallery.views import FrameCallback, ViewStyle
from panohead.head import Head
from panohead.media import VideoWriter, to_uint8
from panohead.media.video import enlarged
from panohead.predictor import Predictor
from panohead.system.worker_threads import in_order, worker_count


def write_turntable(
    head: Head, path: Path, *, frames: int, fps: float, style: ViewStyle, step: FrameCallback, also: Sequence[Path] = ()
) -> None:
    """Write a video of a full turn; on a CPU several frames are rendered at once, while the video is encoded.

    Args:
        head: what to render.
        path: .mp4, .webm or .gif, or a folder of PNG files (no suffix).
        frames: number of frames of the turn.
        fps: frames per second.
        style: background, transparency and height of the camera.
        step: called after each frame.
        also: further files that get the same frames.

    Raises:
        PanoHeadError: when a file cannot be written, or its format has no transparency and the style asks for it.
    """
    with ExitStack() as stack:
        videos = [stack.enter_context(VideoWriter(one, fps, source=style.source)) for one in (path, *also)]
        workers = worker_count(head.ws.device)
        style.begin(head)
        turn = in_order(lambda i: _pixels(style, style.render(head, 360 * i / frames)), range(frames), workers)
        for pixels in turn:
            for video in videos:
                video.write(pixels)
            step()


def latent_walk(predictor: Predictor, heads: Sequence[Head], count: int, *, loop: bool) -> Iterable[Head]:
    """Yield heads on a smooth curve (cubic spline in w) through ``heads``, ``count`` from one to the next.

    Args:
        predictor: the generator of the heads.
        heads: at least two.
        count: steps between two heads.
        loop: return to the first head; the last step before it is the last head.
    """
    from scipy.interpolate import CubicSpline  # here: turntables need not wait for scipy

    keys = [head.ws.cpu().numpy() for head in heads]
    if loop:
        keys.append(keys[0])
    spline = CubicSpline(np.arange(len(keys)), np.stack(keys), bc_type="periodic" if loop else "not-a-knot")
    steps = (len(keys) - 1) * count
    for i in range(steps if loop else steps + 1):
        yield predictor.from_w(torch.from_numpy(spline(i / count)))


def write_walk(
    predictor: Predictor,
    heads: Sequence[Head],
    path: Path,
    *,
    count: int,
    fps: float,
    loop: bool,
    yaw_sweep_deg: float,
    style: ViewStyle,
    step: FrameCallback,
) -> None:
    """Write a video of a latent walk, the camera swaying by +-``yaw_sweep_deg`` once between two heads.

    The arguments are those of :func:`latent_walk` and :func:`write_turntable`.

    Raises:
        PanoHeadError: when the file cannot be written.
    """

    def pixels(place: tuple[int, Head]) -> UInt8[np.ndarray, "height width channel"]:
        i, head = place
        yaw = yaw_sweep_deg * float(np.sin(2 * np.pi * i / count))
        return _pixels(style, style.render(head, yaw))

    walk = enumerate(latent_walk(predictor, heads, count, loop=loop))
    with VideoWriter(path, fps, source=style.source) as video:
        for frame in in_order(pixels, walk, worker_count(predictor.device)):
            video.write(frame)
            step()


def _pixels(style: ViewStyle, frame: Frame) -> UInt8[np.ndarray, "height width channel"]:
    """Return a frame's pixels; small images are enlarged, since video players show videos at their own size."""
    return enlarged(np.asarray(style.image(frame)) if style.transparent else to_uint8(frame.image))
