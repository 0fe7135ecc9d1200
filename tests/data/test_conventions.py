"""Labels of other tools: refused, named, and converted to the same cameras."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from data.small_photos import photo_name, write_photos
from panohead.cli.main import main
from panohead.data.convention_names import MEANING, STEPS, Convention
from panohead.data.conventions import convert_labels, likely_conventions
from panohead.data.dataset import open_dataset
from panohead.data.label_check import check_labels, wrong_labels
from panohead.errors import PanoHeadError
from panohead.geometry.camera import Camera

RIGHT = np.stack(
    [
        Camera.orbit(yaw, pitch).to_label().double().numpy()
        for yaw, pitch in zip(range(-170, 180, 25), [5, -12, 20] * 5, strict=False)
    ]
)
Z_UP = np.array([[1.0, 0, 0, 0], [0, 0, -1, 0], [0, 1, 0, 0], [0, 0, 0, 1]])


def changed(
    pose: Callable[[np.ndarray], np.ndarray] = lambda m: m, intrinsics: Callable[[np.ndarray], np.ndarray] = lambda k: k
) -> np.ndarray:
    """The right labels as another tool writes them."""
    poses, matrices = RIGHT[:, :16].reshape(-1, 4, 4), RIGHT[:, 16:].reshape(-1, 3, 3)
    return np.concatenate([pose(poses).reshape(-1, 16), intrinsics(matrices).reshape(-1, 9)], axis=1)


def scaled(poses: np.ndarray, factor: float) -> np.ndarray:
    return poses * np.array([[1, 1, 1, factor]] * 3 + [[1, 1, 1, 1]])


def pixels(matrices: np.ndarray) -> np.ndarray:
    return matrices * np.array([[512.0], [512.0], [1.0]])


def opengl(poses: np.ndarray) -> np.ndarray:
    return poses @ np.diag([1.0, -1, -1, 1])


CASES: dict[str, tuple[np.ndarray, tuple[Convention, ...]]] = {
    "OpenGL": (changed(opengl), ("opengl",)),
    "inverse": (changed(np.linalg.inv), ("world2cam",)),
    "pixels": (changed(intrinsics=pixels), ("pixels",)),
    "meters": (changed(lambda m: scaled(m, 0.41)), ("scale",)),
    "column by column": (changed(lambda m: m.transpose(0, 2, 1)), ("transposed",)),
    "NeRF and Blender": (changed(lambda m: Z_UP @ opengl(m), pixels), ("opengl", "z-up", "pixels")),
    "COLMAP": (
        changed(lambda m: np.linalg.inv(np.diag([1.0, -1, -1, 1]) @ m), pixels),
        ("world2cam", "y-down", "pixels"),
    ),
    "OpenGL view matrix": (
        changed(lambda m: np.linalg.inv(opengl(m)).transpose(0, 2, 1)),
        ("transposed", "world2cam", "opengl"),
    ),
    "-1 to 1": (
        changed(intrinsics=lambda k: k * [[2.0], [2.0], [1.0]] - [[0, 0, 1.0], [0, 0, 1.0], [0, 0, 0]]),
        ("ndc",),
    ),
}


def test_right_labels_pass() -> None:
    assert check_labels([str(i) for i in range(len(RIGHT))], RIGHT) == []
    assert set(MEANING) == set(STEPS)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("count", [1, None])
def test_conventions_are_named_and_converted(name: str, count: int | None) -> None:
    labels, steps = CASES[name]
    labels, right = labels[1 : None if count is None else 2], RIGHT[1 : None if count is None else 2]
    assert wrong_labels(labels).all() or name == "NeRF and Blender"
    assert likely_conventions(labels)[0] == steps
    np.testing.assert_allclose(convert_labels(labels, steps), right, atol=1e-9)


def test_what_only_faces_tell_apart_is_offered_together() -> None:
    unity = changed(lambda m: np.diag([-1.0, 1, 1, 1]) @ m @ np.diag([1.0, -1, 1, 1]))
    offered = likely_conventions(unity)
    assert {("y-down",), ("pytorch3d",), ("left-handed",)} == set(offered)
    np.testing.assert_allclose(convert_labels(unity, ["left-handed"]), RIGHT, atol=1e-9)
    pytorch3d = changed(lambda m: m @ np.diag([-1.0, -1, 1, 1]))
    np.testing.assert_allclose(convert_labels(pytorch3d, ["pytorch3d"]), RIGHT, atol=1e-9)


@pytest.mark.parametrize("step", ["turned", "mirrored"])
def test_steps_that_leave_cameras_right_are_their_own_inverse(step: Convention) -> None:
    twice = convert_labels(convert_labels(RIGHT, [step]), [step])
    np.testing.assert_allclose(twice, RIGHT, atol=1e-12)
    assert not wrong_labels(convert_labels(RIGHT, [step])).any()


def test_mirrored_is_the_mirrored_camera() -> None:
    import torch

    expected = Camera.from_label(torch.from_numpy(RIGHT)).mirrored().to_label().numpy()
    np.testing.assert_allclose(convert_labels(RIGHT, ["mirrored"]), expected, atol=1e-12)


def test_nonsense_has_no_convention() -> None:
    rng = np.random.default_rng(0)
    assert likely_conventions(rng.normal(size=(20, 25))) == []


@pytest.fixture
def opengl_dataset(tmp_path: Path) -> Path:
    root = write_photos(tmp_path / "theirs", side=16)
    file = root / "images" / "dataset.json"
    labels = json.loads(file.read_text())["labels"]
    labels = [
        [n, (np.array(v[:16]).reshape(4, 4) @ np.diag([1, -1, -1, 1])).ravel().tolist() + v[16:]] for n, v in labels
    ]
    file.write_text(
        json.dumps(
            {
                "labels": labels,
                "coarse": [photo_name(1)],
                "photo_corners": {photo_name(2): [[0, 0.1], [0, 1], [1, 1], [1, 0.1]]},
            }
        )
    )
    return root


def test_datasets_of_other_conventions_are_refused_everywhere_alike(
    opengl_dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = "12 of 12 labels are no camera as the networks expect it"
    remedy = f"convert {opengl_dataset} --cameras-from opengl"
    with pytest.raises(PanoHeadError, match=said):
        open_dataset(opengl_dataset)
    train = ["train", "--preset", "tiny", "--data", str(opengl_dataset), "--out", str(tmp_path / "run"), "--quiet"]
    assert main(train) == 1
    for command in (["check"], ["convert", "--to", "zip", "--out", str(tmp_path / "zip")]):
        assert main(["dataset", command[0], str(opengl_dataset), *command[1:]]) == 1
    errors = " ".join(capsys.readouterr().err.split())
    assert errors.count(remedy) == 3
    assert not (tmp_path / "run" / "config.json").exists()
    assert main(["dataset", "inspect", str(opengl_dataset), "--picture", str(tmp_path / "p.png")]) == 0
    shown = capsys.readouterr().out
    assert "wrong label: 00000/000.png: camera does not look at the origin" in shown
    assert "advice: 12 labels are no cameras as the networks expect them" in shown


def test_converted_datasets_are_right(opengl_dataset: Path, tmp_path: Path) -> None:
    command = ["dataset", "convert", str(opengl_dataset), "--to", "folder", "--out", str(tmp_path / "ours")]
    assert main([*command, "--cameras-from", "opengl"]) == 0
    original = open_dataset(write_photos(tmp_path / "original", side=16))
    ours = open_dataset(tmp_path / "ours")
    np.testing.assert_allclose(ours.photo_labels, original.photo_labels, atol=2e-6)
    index = json.loads((tmp_path / "ours" / "images" / "dataset.json").read_text())
    assert index["coarse"] == [photo_name(1)]
    assert list(index["photo_corners"]) == [photo_name(2)]
    assert main([*command[:-1], str(tmp_path / "no"), "--cameras-from", "pixels"]) == 1


def test_a_file_of_labels_alone_is_converted(
    opengl_dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, out = opengl_dataset / "images" / "dataset.json", tmp_path / "new.json"
    command = ["dataset", "convert", str(file), "--out", str(out)]
    assert main(command) == 2
    assert main([*command, "--cameras-from", "opengl"]) == 0
    assert "wrote 12 labels" in capsys.readouterr().out
    converted = np.array([values for _, values in json.loads(out.read_text())["labels"]])
    assert not wrong_labels(converted).any()
    assert main([*command, "--cameras-from", "opengl"]) == 1, "the new file exists"
