"""Videos: what goes in comes out, whole or not at all."""

import subprocess
import sys
import textwrap
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest
from PIL import Image

from panohead.errors import PanoHeadError
from panohead.media.marks import is_marked_synthetic
from panohead.media.video import VideoWriter

HEIGHT, WIDTH, COUNT = 48, 64, 10


def frame(number: int, alpha: bool = False, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """A colored slope that moves, with a round window that grows."""
    y, x = np.mgrid[:height, :width]
    color = [x * 200 / width + number, y * 200 / height, np.full_like(x, 20 * number)]
    if alpha:
        color.append(255.0 * ((x - width / 2) ** 2 + (y - height / 2) ** 2 < (8 + number) ** 2))
    return np.stack(color, axis=-1).astype(np.uint8)


def decode(path: Path, size: tuple[int, int], *options: str) -> np.ndarray:
    """All frames as RGBA, by ffmpeg itself."""
    ffmpeg = imageio_ffmpeg.get_ffmpeg_exe()
    command = [ffmpeg, "-v", "error", *options, "-i", str(path), "-f", "rawvideo", "-pix_fmt", "rgba", "-"]
    raw = subprocess.run(command, capture_output=True, check=True, stdin=subprocess.DEVNULL).stdout
    return np.frombuffer(raw, np.uint8).reshape(-1, *size, 4)


def write(path: Path, alpha: bool = False, **options: object) -> np.ndarray:
    frames = np.stack([frame(k, alpha) for k in range(COUNT)])
    with VideoWriter(path, fps=25, **options) as video:
        for one in frames:
            video.write(one)
            assert not path.exists()
    assert video.frames_written == COUNT
    assert list(path.parent.iterdir()) == [path]
    return frames


@pytest.mark.parametrize("suffix", [".mp4", ".webm"])
def test_videos_hold_every_frame_in_its_colors(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"video{suffix}"
    frames = write(path)
    count, seconds = imageio_ffmpeg.count_frames_and_secs(str(path))
    assert count == COUNT
    assert seconds == pytest.approx(COUNT / 25, abs=0.05)
    again = decode(path, (HEIGHT, WIDTH))[..., :3]
    assert np.abs(again.astype(int) - frames).mean() < 3
    # A wrong matrix or range shifts the mean color, which compression does not.
    shift = again.astype(float).mean(axis=(0, 1, 2)) - frames.mean(axis=(0, 1, 2))
    assert np.abs(shift).max() < 2
    assert is_marked_synthetic(path)


@pytest.mark.skipif(sys.platform == "win32", reason="no such names on Windows")
@pytest.mark.parametrize("name", ["one.mp4", "one.webm", "one.gif"])
def test_a_folder_with_a_colon_is_no_protocol(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = Path("take:2")
    folder.mkdir()
    write(folder / name)
    assert is_marked_synthetic(folder / name)


def test_transparent_webm(tmp_path: Path) -> None:
    path = tmp_path / "video.webm"
    frames = write(path, alpha=True)
    again = decode(path, (HEIGHT, WIDTH), "-c:v", "libvpx-vp9")
    assert np.abs(again[..., 3].astype(int) - frames[..., 3]).mean() < 2
    opaque = frames[..., 3] == 255
    assert np.abs(again[opaque][:, :3].astype(int) - frames[opaque][:, :3]).mean() < 4


def test_mp4_starts_with_its_index_and_plays_everywhere(tmp_path: Path) -> None:
    """Fast start: the moov box lies before the data; yuv420p H.264 is what browsers decode."""
    path = tmp_path / "video.mp4"
    write(path)
    content = path.read_bytes()
    assert 0 < content.index(b"moov") < content.index(b"mdat")
    reader = imageio_ffmpeg.read_frames(str(path))
    described = next(reader)
    reader.close()
    assert described["codec"] == "h264"
    assert described["pix_fmt"].startswith("yuv420p")


def test_odd_sizes_become_even_in_mp4(tmp_path: Path) -> None:
    path = tmp_path / "video.mp4"
    with VideoWriter(path, fps=10) as video:
        for k in range(3):
            video.write(frame(k, height=33, width=47))
    again = decode(path, (34, 48))
    assert np.abs(again[0, :33, :47, :3].astype(int) - frame(0, height=33, width=47)).mean() < 4
    assert np.abs(again[0, 33].astype(int) - again[0, 32]).mean() < 6


@pytest.mark.parametrize("alpha", [False, True])
def test_gif(tmp_path: Path, alpha: bool) -> None:
    path = tmp_path / "video.gif"
    frames = write(path, alpha)
    assert is_marked_synthetic(path)
    with Image.open(path) as gif:
        assert gif.n_frames == COUNT
        assert gif.info["duration"] == 40
        assert gif.info["loop"] == 0
        gif.seek(COUNT - 1)
        last = np.asarray(gif.convert("RGBA"))
    opaque = frames[-1][..., 3] == 255 if alpha else np.ones((HEIGHT, WIDTH), bool)
    assert np.array_equal(last[..., 3] == 255, opaque)
    # Dithering scatters single pixels; blurred, the colors must agree.
    assert np.abs(last[opaque][:, :3].astype(float).mean(axis=0) - frames[-1][opaque][:, :3].mean(axis=0)).max() < 8


def test_gif_never_asks_for_frames_that_browsers_slow_down(tmp_path: Path) -> None:
    path = tmp_path / "video.gif"
    with VideoWriter(path, fps=60) as video:
        for k in range(12):
            video.write(frame(k))
    with Image.open(path) as gif:
        for k in range(gif.n_frames):
            gif.seek(k)
            assert gif.info["duration"] >= 20


@pytest.mark.parametrize("alpha", [False, True])
def test_png_folder(tmp_path: Path, alpha: bool) -> None:
    path = tmp_path / "frames"
    frames = write(path, alpha)
    names = sorted(p.name for p in path.iterdir())
    assert names == [f"frame_{k:05d}.png" for k in range(COUNT)]
    with Image.open(path / names[3]) as image:
        assert np.array_equal(np.asarray(image), frames[3])
    assert is_marked_synthetic(path / names[0])
    with VideoWriter(path, fps=25) as video:
        video.write(frames[0])
    assert [p.name for p in path.iterdir()] == ["frame_00000.png"]
    (path / "notes.txt").write_text("mine")
    with pytest.raises(PanoHeadError, match="more than frames"), VideoWriter(path, fps=25) as video:
        video.write(frames[0])
    assert (path / "notes.txt").read_text() == "mine"


def test_unmarked_videos_of_photographs(tmp_path: Path) -> None:
    for name in ("a.mp4", "a.gif", "a.webm"):
        write(tmp_path / name[2:] / name, source=None)
        assert not is_marked_synthetic(tmp_path / name[2:] / name)


@pytest.mark.parametrize("name", ["a.mp4", "a.webm", "a.gif", "frames"])
@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_interruption_leaves_the_old_video_and_nothing_else(
    tmp_path: Path, name: str, error: type[BaseException]
) -> None:
    path = tmp_path / name
    if path.suffix:
        path.write_text("old")

    def stop_half_way() -> None:
        with VideoWriter(path, fps=25) as video:
            video.write(frame(0))
            video.write(frame(1))
            raise error

    with pytest.raises(error):
        stop_half_way()
    assert [p.name for p in tmp_path.iterdir()] == ([name] if path.suffix else [])
    if path.suffix:
        assert path.read_text() == "old"


def test_a_killed_writer_leaves_no_video_under_its_name(tmp_path: Path) -> None:
    program = """
        import os, sys
        import numpy as np
        from panohead.media.video import VideoWriter
        with VideoWriter(sys.argv[1], fps=25) as video:
            video.write(np.zeros((32, 32, 3), np.uint8))
            os._exit(9)
    """
    command = [sys.executable, "-c", textwrap.dedent(program), str(tmp_path / "a.mp4")]
    assert subprocess.run(command, check=False, capture_output=True).returncode == 9
    assert not (tmp_path / "a.mp4").exists()


def write_all(path: Path, frames: list[np.ndarray], **options: object) -> None:
    with VideoWriter(path, fps=25, **options) as video:
        for one in frames:
            video.write(one)


def test_a_failing_encoder_is_reported_with_its_reason(tmp_path: Path) -> None:
    frames = [frame(k, height=256, width=256) for k in range(200)]
    with pytest.raises(PanoHeadError, match=r"ffmpeg failed on .*a\.mp4: .*crf"):
        write_all(tmp_path / "a.mp4", frames, crf=-99)
    assert not list(tmp_path.iterdir())


def test_errors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.mp4"
    with pytest.raises(PanoHeadError, match=r"\.avi.*use \.mp4"):
        VideoWriter(tmp_path / "a.avi", fps=25)
    with pytest.raises(PanoHeadError, match=r"from 0\.1 to 240"):
        VideoWriter(path, fps=0)
    with pytest.raises(PanoHeadError, match="no frame"):
        write_all(path, [])
    with pytest.raises(PanoHeadError, match="no transparency"):
        write_all(path, [frame(0, alpha=True)])
    with pytest.raises(PanoHeadError, match="keep one size"):
        write_all(path, [frame(0), frame(1, height=24)])
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", str(tmp_path / "nowhere"))
    with pytest.raises(PanoHeadError, match="pip install imageio-ffmpeg"):
        write_all(path, [frame(0)])
    assert not list(tmp_path.iterdir())
