"""Files of ``frame.save``, ``head.save_mesh``, ``head.save_video`` and of Pillow itself: as the commands write them."""

import io
from pathlib import Path

import numpy as np
import pytest
import trimesh
from imageio_ffmpeg import count_frames_and_secs
from PIL import Image

import tiny
from panohead import Camera
from panohead.frame import Frame
from panohead.head import Head
from panohead.media import is_marked_synthetic
from panohead.predictor import Predictor


@pytest.fixture(scope="module")
def head() -> Head:
    return Predictor(tiny.generator()).sample(0)


@pytest.fixture(scope="module")
def frame(head: Head) -> Frame:
    return head.render(Camera.orbit(20))


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp"])
def test_saved_frames_are_marked(frame: Frame, tmp_path: Path, suffix: str) -> None:
    path = frame.save(tmp_path / "new" / f"a.{suffix}")
    assert is_marked_synthetic(path)
    with Image.open(path) as image:
        error = np.abs(np.asarray(image).astype(int) - np.asarray(frame.to_pil()))
    assert error.mean() < 6
    if suffix != "jpg":
        with Image.open(frame.save(tmp_path / f"b.{suffix}", transparent=True)) as image:
            assert image.mode == "RGBA"
        assert is_marked_synthetic(tmp_path / f"b.{suffix}")


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "gif", "tiff"])
def test_pillow_saves_the_mark(frame: Frame, tmp_path: Path, suffix: str) -> None:
    image = frame.to_pil()
    assert "DigitalSourceType" in image.info
    image.save(tmp_path / f"a.{suffix}")
    assert is_marked_synthetic(tmp_path / f"a.{suffix}")
    buffer = io.BytesIO()
    image.save(buffer, "JPEG" if suffix == "jpg" else suffix.upper())
    (tmp_path / f"b.{suffix}").write_bytes(buffer.getvalue())
    assert is_marked_synthetic(tmp_path / f"b.{suffix}")


def test_an_image_stays_a_pillow_image(frame: Frame, tmp_path: Path) -> None:
    image = frame.to_pil(transparent=True)
    assert isinstance(image, Image.Image)
    assert (image.mode, image.copy().size, image.resize((8, 8)).mode) == ("RGBA", image.size, "RGBA")
    image.save(tmp_path / "plain.bmp")
    with Image.open(tmp_path / "plain.bmp") as again:
        assert again.size == image.size


@pytest.mark.parametrize("suffix", ["glb", "ply", "stl", "3mf", "obj"])
def test_saved_meshes(head: Head, tmp_path: Path, suffix: str) -> None:
    path = head.save_mesh(tmp_path / "new" / f"head.{suffix}", resolution=24, level=2.0)
    assert path.stat().st_size > 0
    assert [p.name for p in path.parent.iterdir()] == [path.name]
    if suffix in ("ply", "stl"):
        height = trimesh.load(path, force="mesh").extents[1]
        assert 0.02 < height / (1000 if suffix == "stl" else 1) < 0.5


def test_a_mesh_in_other_units_is_the_same_mesh(head: Head) -> None:
    meters, millimeters, world = (
        head.mesh(24, level=2.0, color=False, unit=u) for u in ("metre", "millimetre", "world")
    )
    assert (meters.metadata["unit"], millimeters.metadata["unit"]) == ("metre", "millimetre")
    np.testing.assert_allclose(meters.vertices * 1000, millimeters.vertices, rtol=1e-6)
    np.testing.assert_allclose(meters.vertices * meters.metadata["world_units_per_metre"], world.vertices, rtol=1e-6)


@pytest.mark.parametrize("name", ["turn.mp4", "turn.gif", "turn.webm"])
def test_saved_videos(head: Head, tmp_path: Path, name: str) -> None:
    path = head.save_video(tmp_path / "new" / name, frames=3, fps=10, transparent=name == "turn.webm")
    assert is_marked_synthetic(path)
    if name == "turn.gif":
        with Image.open(path) as video:
            assert video.n_frames == 3
            assert video.width >= 256
    else:
        assert count_frames_and_secs(str(path))[0] == 3
