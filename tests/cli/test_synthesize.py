"""The command: arguments, progress, sheet, errors, and that the package's own dataset reader reads what it writes."""

from pathlib import Path

import pytest
import torch
import tyro
from PIL import Image

from panohead.cli.synthesize import Synthesize, with_progress
from panohead.data.dataset import PhotoDataset, dataset_paths
from panohead.errors import PanoHeadError
from panohead.media.marks import is_marked_synthetic
from panohead.synthetic.config import SyntheticDatasetConfig
from panohead.synthetic.views import FOCAL


def parsed(*arguments: str) -> Synthesize:
    return tyro.cli(Synthesize, args=list(arguments))


def test_defaults_are_those_of_the_dataset(tmp_path: Path) -> None:
    command = parsed("--people", "3", "--out", str(tmp_path))
    assert command.config() == SyntheticDatasetConfig(people=3, out=tmp_path)
    assert command.focal == FOCAL
    assert (command.config().edition, command.config().expressions, command.config().light) == (2, 2, "per-person")


def test_every_option_reaches_the_settings(tmp_path: Path) -> None:
    command = parsed(
        "--people", "3", "--out", str(tmp_path), "--views", "5", "--resolution", "64", "--seed", "9", "--depth",
        "--normals", "--parts", "--focal", "3.5", "--pitch-std-deg", "4", "--quality", "cycles", "--format", "png",
        "--edition", "2", "--expressions", "3", "--light", "per-view",
    )  # fmt: skip
    assert command.config() == SyntheticDatasetConfig(
        people=3, out=tmp_path, views=5, resolution=64, seed=9, depth=True, normals=True, parts=True, focal=3.5,
        pitch_std_deg=4.0, quality="cycles", format="png", edition=2, expressions=3, light="per-view",
    )  # fmt: skip


def test_a_rendered_folder_is_a_dataset(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "heads"
    parsed("--people", "1", "--views", "2", "--resolution", "32", "--workers", "1", "--out", str(out)).run()
    assert "wrote 4 images of 1 people" in capsys.readouterr().out
    photos = PhotoDataset(*dataset_paths(out))
    assert len(photos.names) == 4
    for index, name in enumerate(photos.names):
        item = photos[index]
        assert item.image.shape == (3, 32, 32)
        assert item.mask.max() == 255
        assert torch.linalg.norm(item.label[[3, 7, 11]]).item() == pytest.approx(2.7, abs=1e-5)
        assert is_marked_synthetic(out / "images" / name)


def test_the_edition_is_that_of_the_folder_unless_given(tmp_path: Path) -> None:
    out = tmp_path / "old"
    arguments = ("--people", "1", "--views", "1", "--resolution", "16", "--workers", "1", "--out", str(out))
    parsed(*arguments, "--edition", "1").run()
    settings = (out / "synthesis.json").read_bytes()
    expected = SyntheticDatasetConfig.of_edition(1, people=1, views=1, resolution=16, out=out)
    assert parsed(*arguments).config() == expected
    parsed(*arguments).run()
    assert (out / "synthesis.json").read_bytes() == settings
    with pytest.raises(PanoHeadError, match="was begun with edition 1"):
        parsed(*arguments, "--edition", "2").run()


def test_the_preview_is_one_image_and_leaves_the_folder_free(tmp_path: Path) -> None:
    arguments = ("--people", "1", "--views", "2", "--resolution", "32", "--out", str(tmp_path))
    parsed(*arguments, "--preview").run()
    with Image.open(tmp_path / "preview.webp") as sheet:
        assert sheet.width > 64
    assert is_marked_synthetic(tmp_path / "preview.webp")
    parsed(*arguments, "--workers", "1").run()
    assert (tmp_path / "images" / "dataset.json").exists()


def test_progress_passes_every_count_on(tmp_path: Path) -> None:
    assert list(with_progress(iter([1, 2, 3]), SyntheticDatasetConfig(people=3, out=tmp_path))) == [1, 2, 3]


def test_without_a_compiler_the_reason_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("panohead.ops.cpu.jit.available", lambda: False)
    with pytest.raises(PanoHeadError, match="pip install numba"):
        parsed("--people", "1", "--out", str(tmp_path / "d")).run()


def test_cycles_without_blender_is_one_sentence(tmp_path: Path) -> None:
    pytest.importorskip("numba")
    try:
        import bpy  # noqa: F401
    except ImportError:
        with pytest.raises(PanoHeadError, match="needs Blender"):
            parsed("--people", "1", "--quality", "cycles", "--out", str(tmp_path / "d"), "--workers", "1").run()


@pytest.mark.parametrize("workers", ["0", "-3"])
def test_no_workers_is_an_error(tmp_path: Path, workers: str) -> None:
    with pytest.raises(PanoHeadError, match="--workers"):
        parsed("--people", "1", "--out", str(tmp_path / "d"), "--workers", workers).run()
