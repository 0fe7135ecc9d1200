"""Expressions, morph targets, recordings and splats by commands, on the smallest model."""

import json
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh
from imageio_ffmpeg import count_frames_and_secs

import tiny
from panohead import load
from panohead.alignment import face_landmarks
from panohead.alignment.canonical_face import canonical_face
from panohead.attributes.blendshape_file import read_blendshapes
from panohead.capture import stored_landmarks
from panohead.capture.face_track import FaceTrack
from panohead.checkpoint import save_checkpoint
from panohead.cli.main import main
from panohead.errors import PanoHeadError, UsageError
from panohead.gallery import animations
from panohead.gallery.animations import ExpressionDriver, write_animation
from panohead.gallery.views import ViewStyle
from panohead.media import is_marked_synthetic
from panohead.media.video import VideoWriter
from panohead.mesh.morph_targets import set_targets
from panohead.mesh.settings import MeshSettings


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A checkpoint of the tiny generator with an untrained attribute encoder, whose only expression is jawOpen."""
    path = tmp_path_factory.mktemp("model") / "attributes.safetensors"
    save_checkpoint(path, {"G_ema": tiny.generator(), "attributes": tiny.attribute_encoder()})
    return str(path)


def recording(path: Path, frames: int = 3) -> Path:
    path.write_text(json.dumps({"fps": 10, "frames": [{"jawOpen": k / 10} for k in range(frames)]}))
    return path


def tree_of(path: Path) -> dict:
    content = path.read_bytes()
    return json.loads(content[20 : 20 + struct.unpack_from("<I", content, 12)[0]])


def test_generate_with_expression_morphs_and_splats(model: str, tmp_path: Path) -> None:
    small = ["--checkpoint", model, "--seeds", "0", "--yaws", "0", "--no-contact-sheet", "--mesh-level", "2"]
    mesh = ["--mesh", "glb", "stl", "--mesh-resolution", "32", "--morphs", "--splats", "ply", "spz"]
    options = [*mesh, "--splat-count", "300", "--splat-steps", "2", "--expression", "jawOpen=0.5"]
    assert main(["generate", "--out", str(tmp_path / "a"), *small, *options]) == 0
    assert len(tree_of(tmp_path / "a" / "seed0000.glb")["meshes"][0]["extras"]["targetNames"]) == 52
    for name in ("seed0000.glb", "seed0000.stl", "seed0000_splats.ply", "seed0000_splats.spz"):
        assert is_marked_synthetic(tmp_path / "a" / name), name
    assert main(["generate", "--out", str(tmp_path / "b"), *small[:-2]]) == 0
    first, second = ((tmp_path / x / "seed0000" / "yaw+000.png").read_bytes() for x in "ab")
    assert first != second


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--expression", "jawopn=0.5"], "did you mean jawOpen"),
        (["--expression", "jawOpen=1.5"], "jawOpen is 1.5; give a number from 0 to 1"),
        (["--expression", "jawOpen"], "give name=value, such as jawOpen=0.5"),
        (["--expression", "jawOpen=0.1", "jawOpen=0.2"], "gives jawOpen twice"),
        (["--expression", "jawOpen=0.1", "--set", "jawOpen=0.2"], "and so does --set"),
        (["--splat-count", "500"], "does nothing without --splats"),
        (["--splats", "ply", "--splat-count", "5"], "5"),
        (["--mesh", "ply", "--morphs"], "--morphs does nothing without glb"),
        (["--mesh", "glb", "--morphs", "--texture", "64"], "texture does not go with morphs"),
    ],
)
def test_wrong_usage_ends_with_2(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], sentence: str
) -> None:
    try:
        code = main(["generate", "--checkpoint", model, "--out", str(tmp_path / "a"), *options])
    except SystemExit as end:
        code = int(str(end.code))
    assert code == 2
    assert sentence in " ".join(capsys.readouterr().err.replace("│", " ").split())
    assert not (tmp_path / "a").exists()


def test_animate_writes_video_and_mesh(model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    take = recording(tmp_path / "take.json")
    command = ["animate", "seed:2", "--checkpoint", model, "--blendshapes", str(take), "--out", str(tmp_path / "a")]
    assert main([*command, "--fps", "20", "--write", "video"]) == 0
    frames, _ = count_frames_and_secs(tmp_path / "a" / "animation.mp4")
    assert frames == 6
    assert is_marked_synthetic(tmp_path / "a" / "animation.mp4")
    assert not (tmp_path / "a" / "frames").exists()
    assert main([*command, "--write", "glb"]) == 1  # its surface is at another level
    assert "there is no surface" in capsys.readouterr().err
    assert main([*command, "--head-pose"]) == 1
    assert "holds no HeadYaw" in capsys.readouterr().err


def test_a_mesh_for_every_frame(model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sphere with one target stands in for the head, whose surface the smallest model does not have."""
    ball = trimesh.creation.icosphere(1)
    set_targets(ball, {"jawOpen": np.tile(np.float32([0, 1, 0]), (len(ball.vertices), 1))})

    class Driver:
        def __init__(self, head: object) -> None:
            pass

        def at(self, weights: dict[str, float]) -> "Driver":
            return self

        def mesh(self, **options: object) -> trimesh.Trimesh:
            assert options["morphs"] is True
            return ball

    monkeypatch.setattr(animations, "ExpressionDriver", Driver)
    track = read_blendshapes(recording(tmp_path / "take.json"))
    paths = [tmp_path / "head.glb", tmp_path / "frames"]
    animations.write_animated_mesh(load(model).sample(1), track, paths, MeshSettings())
    assert tree_of(tmp_path / "head.glb")["animations"][0]["name"] == "recording"
    heights = [trimesh.load_mesh(tmp_path / "frames" / f"frame_{k:05d}.obj").vertices[:, 1].max() for k in range(3)]
    np.testing.assert_allclose(heights, [1.0, 1.1, 1.2], atol=1e-5)
    assert len(list((tmp_path / "frames").iterdir())) == 3


@pytest.mark.parametrize(("head", "code"), [("seed:x", 2), ("nowhere", 1)])
def test_heads_that_are_none(model: str, tmp_path: Path, head: str, code: int) -> None:
    take = recording(tmp_path / "take.json")
    assert (
        main(["animate", head, "--checkpoint", model, "--blendshapes", str(take), "--out", str(tmp_path / "a")]) == code
    )


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # imageio-ffmpeg's pipes
def test_a_video_of_a_face_drives_a_head(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The track of landmarks stands in for MediaPipe's: a face at rest, then no face in the last frame."""

    class Track(FaceTrack):
        def next(self, frame: np.ndarray) -> np.ndarray | None:
            face = np.concatenate([canonical_face(), canonical_face()[:10]])
            return None if frame.mean() > 200 else face * [20.0, -20.0, -20.0] + 320.0

    monkeypatch.setattr(stored_landmarks, "FaceTrack", Track)
    monkeypatch.setattr(face_landmarks, "import_mediapipe", lambda: None)
    source, out = tmp_path / "face.mp4", tmp_path / "a"
    with VideoWriter(source, 10, source=None) as video:
        for light in (40, 60, 80, 100, 250):
            video.write(np.full((32, 32, 3), light, np.uint8))
    command = ["animate", "seed:2", "--checkpoint", model, "--video", str(source), "--out", str(out)]
    assert main([*command, "--write", "video", "--head-pose"]) == 0
    assert "1 of 5 frames show no face" in " ".join(capsys.readouterr().out.split())
    assert count_frames_and_secs(out / "animation.mp4")[0] == 5
    track = read_blendshapes(out / "recording.csv")
    assert len(track.times) == 5
    assert track.weights.max() == 0
    assert track.pose is not None
    settings = json.loads((out / "settings.json").read_text())
    assert "face.mp4" in settings["command"]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(
    ("options", "code", "sentence"),
    [
        ([], 2, "give --blendshapes FILE or --video FILE"),
        (["--blendshapes", "a.json", "--video", "b.mp4"], 2, "one of the two"),
        (["--blendshapes", "a.json", "--neutral-seconds", "1"], 2, "--neutral-seconds does nothing without --video"),
        (["--video", "face.txt"], 1, "face.txt"),
        (["--video", "none.mp4"], 1, "none.mp4"),
        (["--video", "face.mp4", "--neutral-seconds", "0"], 2, "neutral"),
    ],
)
def test_videos_and_recordings_that_are_refused(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], code: int, sentence: str
) -> None:
    (tmp_path / "face.txt").write_text("no video")
    (tmp_path / "face.mp4").write_text("no video")
    placed = [str(tmp_path / x) if "." in x else x for x in options]
    assert main(["animate", "seed:2", "--checkpoint", model, "--out", str(tmp_path / "a"), *placed]) == code
    assert sentence in " ".join(capsys.readouterr().err.replace("│", " ").split())
    assert not (tmp_path / "a").exists()


def test_interrupted_video_is_continued_and_another_is_not(model: str, tmp_path: Path) -> None:
    head, track = load(model).sample(1), read_blendshapes(recording(tmp_path / "take.json", 4))
    calls: list[int] = []

    def stop_after_two() -> None:
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt

    path = tmp_path / "out" / "animation.mp4"
    with pytest.raises(KeyboardInterrupt):
        write_animation(head, track, path, style=ViewStyle(), key="a", step=stop_after_two)
    kept = sorted((tmp_path / "out" / "frames").glob("frame_*.png"))
    assert [p.name for p in kept] == ["frame_00000.png", "frame_00001.png"]
    times = [p.stat().st_mtime_ns for p in kept]
    calls.clear()
    with pytest.raises(KeyboardInterrupt):
        write_animation(head, track, path, style=ViewStyle(), key="a", step=stop_after_two)
    assert [p.stat().st_mtime_ns for p in kept] == times
    write_animation(head, track, path, style=ViewStyle(), key="other")
    assert count_frames_and_secs(path)[0] == 4


def test_driver_replaces_the_expression_and_keeps_the_rest(model: str) -> None:
    head = load(model).sample(1)
    driver = ExpressionDriver(head)
    open_mouth = driver.at({"jawOpen": 0.7})
    again = ExpressionDriver(head.with_expression(jawOpen=1.0))
    # The head's own expression is taken away: what a recording asks for decides.
    torch.testing.assert_close(again.at({"jawOpen": 0.7}).ws, open_mouth.ws)
    assert float((driver.at({}).ws - open_mouth.ws).abs().max()) > 1e-3
    bare = load(model).sample(1)
    bare.attribute_encoder = None
    with pytest.raises(UsageError, match="no attribute encoder"):
        ExpressionDriver(bare)


def test_python_refuses_what_the_command_refuses(model: str) -> None:
    head = load(model).sample(1)
    with pytest.raises(UsageError, match="did you mean jawOpen"):
        head.with_expression(jawOpn=0.5)
    with pytest.raises(UsageError, match="jawOpen is 2"):
        head.with_expression({"jawOpen": 2.0})
    with pytest.raises(PanoHeadError, match=r"use \.ply or \.spz"):
        head.save_splats("head.splat")
    assert not np.array_equal(head.with_expression(jawOpen=0.9).ws, head.ws)
