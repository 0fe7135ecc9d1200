"""One custom for ``--out``: continue or refuse the command's own results, remove them with ``--overwrite``, and never
anything else."""

import json
import shlex
import time
from pathlib import Path
from typing import Any

import pytest
import tyro

from data.small_photos import write_photos
from panohead.cli.dataset import Convert
from panohead.cli.evaluate import Evaluate
from panohead.cli.main import main
from panohead.cli.prepare import Prepare
from panohead.cli.reconstruct import Reconstruct
from panohead.cli.results_folder import typed
from panohead.cli.synthesize import Synthesize
from panohead.errors import PanoHeadError
from panohead.files.earlier_results import command_of, remove_earlier_results
from panohead.preparation.files import DATASET_FILES, open_out
from panohead.presets import tiny
from panohead.training.run.folder import RUN_FILES, RunDescription, read_run, start_run


def filled(folder: Path, names: tuple[str, ...]) -> Path:
    """A folder with these results, and a file of the user's."""
    for name in names:
        if "." in name[1:]:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text("{}")
        else:
            (folder / name).mkdir(parents=True, exist_ok=True)
            (folder / name / "old.bin").write_text("old")
    (folder / "notes.txt").write_text("mine")
    return folder


def test_only_what_is_named_is_removed_and_links_are_not_followed(tmp_path: Path) -> None:
    out = filled(tmp_path / "out", ("images", "prepare.json"))
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "photo.jpg").write_text("mine")
    (out / "masks").symlink_to(tmp_path / "elsewhere")
    (out / "images" / "link").symlink_to(tmp_path / "elsewhere")
    remove_earlier_results(out, ("images", "masks", "never there", "prepare.json"))
    assert [path.name for path in out.iterdir()] == ["notes.txt"]
    assert (tmp_path / "elsewhere" / "photo.jpg").exists()


def test_inputs_are_not_removed_before_they_are_read(tmp_path: Path) -> None:
    out = filled(tmp_path / "out", ("snapshots", "config.json"))
    (tmp_path / "link").symlink_to(out / "snapshots")
    for place in (out / "snapshots", tmp_path / "link"):
        with pytest.raises(PanoHeadError, match=r"old\.bin is among what --overwrite would remove"):
            remove_earlier_results(out, ("snapshots", "config.json"), [place / "old.bin"])
    assert (out / "snapshots" / "old.bin").exists()
    remove_earlier_results(out, ("snapshots", "config.json"), [tmp_path, out])


def test_a_run_is_refused_or_removed(tmp_path: Path) -> None:
    run = filled(tmp_path / "run", (*RUN_FILES, "config.json"))
    description = RunDescription(tiny(), tmp_path / "heads", initial=run / "snapshots" / "old.bin")
    with pytest.raises(PanoHeadError, match=r"resume it with --resume .* or give --overwrite"):
        start_run(run, description)
    with pytest.raises(PanoHeadError, match=r"old\.bin is among"):
        start_run(run, description, overwrite=True)
    start_run(run, RunDescription(tiny(), tmp_path / "heads"), overwrite=True)
    assert {path.name for path in run.iterdir()} == {"config.json", "notes.txt"}
    assert read_run(run).data == tmp_path / "heads"


def test_a_run_is_not_mixed_with_other_results(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "settings.json").write_text(json.dumps({"command": "panohead generate --seeds 0"}))
    assert main(["train", "--preset", "tiny", "--data", str(tmp_path / "none"), "--out", str(out)]) == 1
    assert "holds results of panohead generate" in capsys.readouterr().err
    assert main(["train", "--resume", str(out), "--overwrite"]) == 2


def test_a_prepared_dataset_is_continued_refused_or_removed(tmp_path: Path) -> None:
    out = filled(tmp_path / "out", DATASET_FILES)
    with pytest.raises(PanoHeadError, match="holds no prepared dataset"):
        open_out(out, {"size": 512}, overwrite=True)
    (out / "prepare.json").write_text('{"size": 512}')
    open_out(out, {"size": 512})
    assert (out / "images" / "old.bin").exists(), "the same settings continue"
    with pytest.raises(PanoHeadError, match=r"another size; repeat the old settings, .* or --overwrite"):
        open_out(out, {"size": 256})
    with pytest.raises(PanoHeadError, match="is among"):
        open_out(out, {"size": 256}, overwrite=True, inputs=[out / "images" / "old.bin"])
    open_out(out, {"size": 256}, overwrite=True)
    assert {path.name for path in out.iterdir()} == {"prepare.json", "notes.txt"}
    assert json.loads((out / "prepare.json").read_text()) == {"size": 256}


def test_a_synthetic_dataset_is_continued_refused_or_removed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "heads"
    command = ["synthesize", "--people", "1", "--views", "1", "--expressions", "1", "--resolution", "16"]
    command += ["--workers", "1", "--out", str(out)]
    filled(out, ("parts", "depth", "synthesis.json"))
    (out / "synthesis.json").write_text('{"edition": 1}')
    for options, reason in (
        ([], "was begun with layout_version None, views None"),
        (["--edition", "2"], "was begun with edition 1"),
    ):
        assert main([*command, *options]) == 1
        said = " ".join(capsys.readouterr().err.split())
        assert reason in said
        assert "--overwrite to remove it and start again" in said
    assert main([*command, "--overwrite"]) == 0
    assert command_of(out) == "synthesize"
    assert not (out / "depth").exists()
    assert (out / "notes.txt").read_text() == "mine"
    labels = (out / "images" / "dataset.json").read_bytes()
    assert main(command) == 0
    assert (out / "images" / "dataset.json").read_bytes() == labels
    assert main(["generate", "--seeds", "0", "--out", str(out)]) == 1
    assert "holds results of panohead synthesize" in capsys.readouterr().err


def test_only_copies_by_convert_are_removed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root, out = write_photos(tmp_path / "in", 2), tmp_path / "out"
    convert = ["dataset", "convert", str(root), "--out", str(out)]
    assert main([*convert, "--to", "folder"]) == 0
    assert command_of(out) == "dataset convert"
    assert main([*convert, "--to", "zip"]) == 1
    assert "or --overwrite" in capsys.readouterr().err
    for layout, names in (("zip", {"images.zip", "masks.zip"}), ("shards", {"photos-000000-of-000001.tar"})):
        assert main([*convert, "--to", layout, "--overwrite"]) == 0
        assert {path.name for path in out.iterdir()} == {*names, "run.yaml", "settings.json"}
    other = ["dataset", "convert", str(out), "--to", "folder", "--overwrite", "--out"]
    assert main([*other, str(out)]) == 1
    assert "is the dataset that is copied" in capsys.readouterr().err
    assert main([*other, str(root)]) == 1
    assert "holds a dataset" in capsys.readouterr().err
    (root / "settings.json").write_text("{}")
    assert main([*other, str(root)]) == 1
    assert (root / "images" / "dataset.json").exists(), "a dataset of the user's"
    (out / "other.tar").write_text("mine")
    assert main([*convert, "--to", "zip", "--overwrite"]) == 1
    assert (out / "other.tar").exists()


def test_a_file_of_labels_is_replaced_but_not_by_itself(tmp_path: Path) -> None:
    labels = write_photos(tmp_path / "in", 2) / "images" / "dataset.json"
    target = tmp_path / "labels.json"
    convert = ["dataset", "convert", str(labels), "--cameras-from", "opengl", "--out"]
    target.write_text("old")
    known = labels.read_bytes()
    assert main([*convert, str(labels), "--overwrite"]) == 1
    assert labels.read_bytes() == known
    assert main([*convert, str(target)]) == 1
    assert target.read_text() == "old"


@pytest.mark.parametrize(
    ("name", "command", "words"),
    [
        ("prepare", Prepare, "a.jpg 'b c.jpg' --out o --gates.min-core-px 64 --head 2 --mask-model x.onnx"),
        ("reconstruct", Reconstruct, "a.jpg --out o --mesh ply --no-trim --head 2"),
        ("evaluate", Evaluate, "--out o --checkpoint a b --num 8 --data d --masks m"),
        ("synthesize", Synthesize, "--people 2 --out o"),
        ("dataset convert", Convert, "d --out o --to zip --cameras-from opengl pixels"),
    ],
)
def test_the_command_in_the_settings_is_the_one_that_was_given(name: str, command: Any, words: str) -> None:
    given = tyro.cli(command, args=shlex.split(words))
    written = shlex.split(typed(name, given))
    assert written[: 1 + len(name.split())] == ["panohead", *name.split()]
    assert tyro.cli(command, args=written[1 + len(name.split()) :]) == given


@pytest.mark.parametrize(
    ("typed", "command"),
    [
        ("panohead generate --out x", "generate"),
        ("panohead dataset convert a --out b", "dataset convert"),
        ("panohead doctor", "doctor"),
        ("panohead", None),
        ("rm -rf x", None),
        ("panohead \x1b[31m x", None),
        ("panohead " + "a" * 1_000_000, None),
        ("panohead '" + "a" * 1_000_000, None),
        (7, None),
    ],
)
def test_settings_of_others_are_read_at_once(typed: object, command: str | None, tmp_path: Path) -> None:
    (tmp_path / "settings.json").write_text(json.dumps({"command": typed}))
    began = time.process_time()
    assert command_of(tmp_path) == command
    assert time.process_time() - began < 1


@pytest.mark.parametrize("to", ["folder", "zip", "shards"])
def test_a_copy_does_not_join_what_is_copied(to: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_photos(tmp_path / "data")
    before = sorted(tmp_path.rglob("*"))
    inside = tmp_path / "data" / "images" / "copy"
    assert main(["dataset", "convert", str(tmp_path / "data"), "--out", str(inside), "--to", to]) == 1
    assert "would join the dataset; give another folder" in capsys.readouterr().err
    assert sorted(path for path in tmp_path.rglob("*") if path != inside) == before
    assert (
        main(["dataset", "convert", str(tmp_path / "data"), "--out", str(tmp_path / "data" / "copy"), "--to", to]) == 0
    )
