"""A refused command leaves nothing behind: no folder that was missing before, whatever was wrong."""

import json
from pathlib import Path

import pytest

from data.small_photos import write_photos
from panohead.cli.main import main
from panohead.errors import PanoHeadError
from panohead.files.new_folders import empty_folders_removed

REFUSED = [
    ["demo", "--checkpoint", "none.safetensors"],
    ["demo", "--heads", "0"],
    ["generate", "--checkpoint", "none.safetensors"],
    ["generate", "--seeds", "0", "--background", "none.png"],
    ["generate", "--seeds", "x"],
    ["interpolate", "--seeds", "1"],
    ["interpolate", "--checkpoint", "text.png"],
    ["import-official", "text.png"],
    ["import-official", "none.pkl"],
    ["synthesize", "--people", "0"],
    ["synthesize", "--people", "1", "--quality", "cycles"],
    ["prepare", "none.jpg"],
    ["prepare", "empty"],
    ["prepare", "text.png", "--poses", "none.csv"],
    ["dataset", "convert", "none", "--to", "folder"],
    ["dataset", "convert", "empty", "--to", "zip"],
    ["dataset", "convert", "unlabeled", "--to", "folder"],
    ["dataset", "convert", "unlabeled", "--to", "shards"],
    ["dataset", "convert", "labels.json", "--cameras-from", "opengl"],
    ["train", "--preset", "tiny", "--data", "none"],
    ["train", "--preset", "tiny", "--data", "unlabeled", "--device", "cpu"],
    ["train", "--preset", "tiny", "--data", "unlabeled", "--device", "cpu", "--init", "none.safetensors"],
    ["evaluate", "--data", "none", "--checkpoint", "demo"],
    ["evaluate", "--metrics", "fid"],
    ["evaluate", "--checkpoint", "none.safetensors"],
    ["reconstruct", "none.jpg"],
    ["reconstruct", "empty"],
    ["reconstruct", "text.png", "--aligned", "--labels", "labels.json"],
    ["reconstruct", "text.png", "--masks", "none"],
]


@pytest.fixture
def inputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder, where the commands run, with an empty folder, a text named as an image, and images without labels."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.png").write_text("no image")
    (tmp_path / "labels.json").write_text("{}")
    unlabeled = write_photos(tmp_path / "unlabeled", count=2, side=32)
    (unlabeled / "images" / "dataset.json").write_text(json.dumps({"labels": []}))
    return tmp_path


@pytest.mark.parametrize("command", REFUSED, ids=" ".join)
def test_no_refused_command_leaves_a_folder(
    command: list[str], inputs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(inputs.rglob("*"))
    file = "x.safetensors" if command[0] == "import-official" else "x.json" if "--cameras-from" in command else ""
    assert main([*command, "--out", str(Path("new", "folder", file))]) in (1, 2)
    assert "panohead: " in capsys.readouterr().err
    assert sorted(inputs.rglob("*")) == before


def test_the_histogram_of_what_cannot_be_inspected(inputs: Path) -> None:
    assert main(["dataset", "inspect", "empty", "--picture", "new/poses.png"]) == 1
    assert not (inputs / "new").exists()


def test_only_empty_folders_that_were_missing_are_removed(tmp_path: Path) -> None:
    old = tmp_path / "old"
    old.mkdir()

    def make(*folders: str, file: str = "") -> None:
        with empty_folders_removed([old / "new" / "out", old]):
            fail(*folders, file=file)

    def fail(*folders: str, file: str) -> None:
        for folder in folders:
            (old / folder).mkdir(parents=True)
        if file:
            (old / file).write_text("finished")
        raise PanoHeadError("wrong")

    with pytest.raises(PanoHeadError, match="wrong"):
        make("new/out/images", "other")
    assert [path.name for path in old.iterdir()] == ["other"], "the folder was there, and the other is not a result"
    with pytest.raises(PanoHeadError, match="wrong"):
        make("new/out", "new/out/masks", file="new/out/photo.png")
    assert (old / "new" / "out" / "photo.png").read_text() == "finished"
    assert (old / "new" / "out" / "masks").is_dir()
    with empty_folders_removed([tmp_path / "empty"]):
        (tmp_path / "empty").mkdir()
    assert (tmp_path / "empty").is_dir(), "no error"


def test_links_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "target").mkdir()

    def link() -> None:
        with empty_folders_removed([tmp_path / "link"]):
            (tmp_path / "link").symlink_to(tmp_path / "target")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        link()
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").is_dir()
