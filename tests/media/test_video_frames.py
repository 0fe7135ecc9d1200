"""Videos read frame by frame: upright, at a constant rate, of bounded size; broken ones are named."""

import subprocess
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest

from panohead.errors import PanoHeadError
from panohead.media.video import VideoWriter
from panohead.media.video_frames import MAX_SIDE_PX, VideoFrames

# imageio-ffmpeg leaves the closing of ffmpeg's pipes to the garbage collector.
pytestmark = [
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]


def video(path: Path, count: int = 12, fps: float = 24.0, size: tuple[int, int] = (64, 96)) -> Path:
    """A video whose frames grow brighter; its upper left corner is red."""
    with VideoWriter(path, fps, source=None) as writer:
        for number in range(count):
            frame = np.full((*size, 3), 240 * number // count, np.uint8)
            frame[: size[0] // 2, : size[1] // 2] = [255, 0, 0]
            writer.write(frame)
    return path


def ffmpeg(*arguments: str) -> None:
    subprocess.run([imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", *arguments], check=True)


def test_frames_come_in_order_at_their_rate(tmp_path: Path) -> None:
    with VideoFrames(video(tmp_path / "a.mp4")) as frames:
        assert (frames.size, frames.fps) == ((96, 64), 24.0)
        assert frames.seconds == pytest.approx(0.5, abs=0.05)
        images = list(frames)
    assert len(images) == 12
    np.testing.assert_allclose([image[50, 80].mean() for image in images], 20 * np.arange(12), atol=8)


def test_another_rate_takes_frames_from_the_same_times(tmp_path: Path) -> None:
    with VideoFrames(video(tmp_path / "a.mp4"), fps=12) as frames:
        images = list(frames)
    assert len(images) == 6
    steps = np.diff([image[50, 80].mean() for image in images])
    assert steps.min() > 30


def test_high_rates_are_read_at_thirty(tmp_path: Path) -> None:
    with VideoFrames(video(tmp_path / "a.mp4", count=24, fps=60)) as frames:
        assert frames.fps == 30.0
        assert len(list(frames)) == 12


def test_a_varying_rate_becomes_constant(tmp_path: Path) -> None:
    """Twelve frames in half a second, then one that stands for half a second."""
    source = video(tmp_path / "a.mp4")
    slow = tmp_path / "slow.mkv"
    pts = "setpts='if(lt(N,11),N/24,(11+12*(N-11))/24)/TB'"
    ffmpeg("-i", str(source), "-vf", pts, "-fps_mode", "vfr", str(slow))
    with VideoFrames(slow, fps=24) as frames:
        images = list(frames)
    values = np.array([image[50, 80].mean() for image in images])
    assert len(images) >= 12
    np.testing.assert_allclose(values[:11], 20 * np.arange(11), atol=8)


def test_a_turned_video_is_upright(tmp_path: Path) -> None:
    """Phones store the sensor's frames and how they held it."""
    source, turned = video(tmp_path / "a.mp4"), tmp_path / "turned.mp4"
    ffmpeg("-display_rotation", "90", "-i", str(source), "-c", "copy", str(turned))
    with VideoFrames(turned) as frames:
        assert frames.size == (64, 96)
        image = next(iter(frames))
    # Turned by a quarter to the left, the upper left corner becomes the lower left one.
    np.testing.assert_allclose(image[70, 10], [255, 0, 0], atol=25)
    assert image[10, 10].max() < 40


def test_large_frames_are_shrunk(tmp_path: Path) -> None:
    with VideoFrames(video(tmp_path / "a.mp4", count=2, size=(400, 1600))) as frames:
        assert frames.size == (MAX_SIDE_PX, 320)
        assert next(iter(frames)).shape == (320, MAX_SIDE_PX, 3)


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("a.mp4", b"no video at all", "cannot read .*a.mp4 as a video"),
        ("a.mp4", b"", "a.mp4"),
        ("a.txt", b"text", "a.txt is not a video that is read; give .mp4"),
        ("list.mkv", b"ffconcat version 1.0\nfile '/etc/passwd'\n", "cannot read .*list.mkv as a video"),
    ],
)
def test_what_is_no_video_is_named(tmp_path: Path, name: str, content: bytes, sentence: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(PanoHeadError, match=sentence):
        VideoFrames(tmp_path / name)


def test_a_missing_video_is_named(tmp_path: Path) -> None:
    with pytest.raises((PanoHeadError, OSError), match=r"none\.mp4"):
        VideoFrames(tmp_path / "none.mp4")
