"""``--config``: the file means what the same words mean, typed options win, and every mistake is one sentence."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import tyro
import yaml

import tiny
from panohead.checkpoint import save_checkpoint
from panohead.cli.main import Command, command_classes, main
from panohead.cli.running.common_options import CommonOptions
from panohead.cli.running.config_file import config_text, with_config
from panohead.cli.running.option_fields import given_options, option_fields
from panohead.errors import UsageError

COMMANDS = command_classes()
REQUIRED: dict[str, list[str]] = {
    "interpolate": ["--out", "o"],
    "generate": ["--out", "o"],
    "directions": ["--out", "o"],
    "import-official": ["a.pkl", "--out", "o"],
    "synthesize": ["--people", "3", "--out", "o"],
    "prepare": ["a b.jpg", "*.png", "--out", "o"],
    "evaluate": ["--out", "o"],
    "reconstruct": ["a.png", "b.png", "--out", "o"],
    "verify": ["-"],
    "completion": ["zsh"],
    "animate": ["seed:3", "--blendshapes", "talk.csv", "--out", "o"],
    "sign": ["heads", "--certificate", "chain.pem", "--key", "key.pem"],
    "dataset inspect": ["heads"],
    "dataset check": ["heads"],
    "dataset convert": ["heads", "--out", "o"],
    "dataset view": ["heads"],
}
"""Words without which a command is not complete."""


def parse(words: list[str]) -> Any:
    command: Any = tyro.cli(Command, args=words)
    return command.command if words[0] == "dataset" else command


def config(folder: Path, text: str) -> str:
    path = folder / "given.yaml"
    path.write_text(text)
    return str(path)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_written_file_gives_the_same_command(name: str, tmp_path: Path) -> None:
    command = parse([*name.split(), *REQUIRED.get(name, [])])
    file = config(tmp_path, config_text(name, command))
    again = parse(with_config([*name.split(), "--config", file], COMMANDS))
    assert dataclasses.replace(again, common=command.common) == command
    for line in Path(file).read_text().splitlines()[2:]:
        assert line.startswith(("#", "- ", *(option.key for option in option_fields(type(command))))), line


CHANGED = {
    "generate": "--seeds 3 --yaws -30 0.5 --pitch -7 --no-contact-sheet --set hair_style=bob age=60 --background #fff",
    "prepare": "--gates.min-coverage 0.25 --poses p.csv --format webp",
    "reconstruct": "--head 1 2 --without glasses beard --steps 5 --triangles full --resume",
    "train": "--set loss.r1_gamma=0.5 data.camera_jitter=0.05 --kimg 1e-3 --ablation no_mask --seed 0",
    "evaluate": "--checkpoint A=demo b.safetensors --metrics fid kid",
}


@pytest.mark.parametrize("name", CHANGED)
def test_changed_options_survive(name: str, tmp_path: Path) -> None:
    command = parse([name, *REQUIRED.get(name, []), *CHANGED[name].split()])
    file = config(tmp_path, config_text(name, command))
    again = parse(with_config([name, f"--config={file}"], COMMANDS))
    assert dataclasses.replace(again, common=command.common) == command


def test_typed_options_win(tmp_path: Path) -> None:
    file = config(tmp_path, "seeds: 0-3\nyaws: [0, 90]\nturntable: true\nout: there\nmesh: [glb]\n")
    typed = ["generate", "--config", file, "--yaws", "10", "--no-turntable", "--out=here"]
    command = parse(with_config(typed, COMMANDS))
    assert (command.seeds, command.yaws, command.turntable) == ("0-3", (10.0,), False)
    assert (command.out, command.mesh) == (Path("here"), ("glb",))


def test_typed_photos_replace_those_of_the_file(tmp_path: Path) -> None:
    file = config(tmp_path, "photos: [a.png, b.png]\nout: o\nhead: [1]\n")
    assert parse(with_config(["reconstruct", "c.png", "--config", file], COMMANDS)).photos == (Path("c.png"),)
    assert parse(with_config(["reconstruct", "--config", file], COMMANDS)).photos == (Path("a.png"), Path("b.png"))


def test_which_options_are_given() -> None:
    options = option_fields(COMMANDS["reconstruct"])
    assert given_options(["--config", "f", "b.png"], [*options, *option_fields(CommonOptions)]) == {"config", "photos"}
    assert given_options(["--quick", "a.png", "--steps", "3", "b.png"], options) == {"quick", "photos", "steps"}
    assert given_options(["--mesh", "glb", "ply", "--no-trim", "--steps=3"], options) == {"mesh", "trim", "steps"}
    assert given_options(["--steps", "3", "--", "-odd.png"], options) == {"steps", "photos"}


def test_the_file_alone_says_the_command(tmp_path: Path) -> None:
    file = config(tmp_path, "command: dataset inspect\ndataset: heads\n")
    assert with_config(["--config", file], COMMANDS) == ["dataset", "inspect", "heads", "--config", file]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("seed: 3", "there is no option seed; did you mean seeds?"),
        ("zzz: 3", "there is no option zzz; remove it"),
        ("quiet: true", "there is no option quiet; give it on the command line"),
        ("command: train\nseeds: 3", "is for 'panohead train', not for 'panohead generate'"),
        ("seeds: 1\nseeds: 2", "stands there twice"),
        ("a: &x 1\nseeds: *x", "holds a reference"),
        ("- 1\n- 2", "holds no options"),
        ("seeds: [1, 2]", "seeds takes one value"),
        ("yaws: [[1], 2]", "yaws takes values, no nested ones"),
        ("turntable: maybe", "turntable is maybe; give true or false"),
        ("seeds: 'a", "is not understood in line 1"),
        ("? [1]\n: 2", "is no word"),
        ("{" * 5000, "is not understood"),
        ("a: b\x00", "is not understood"),
        ("x" * 200_000, "cannot be read"),
    ],
)
def test_mistakes_are_one_sentence(text: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["generate", "--out", str(tmp_path / "out"), "--config", config(tmp_path, text)]) == 2
    said = capsys.readouterr().err
    assert words in said
    assert (said.count("\n"), "Traceback" in said, (tmp_path / "out").exists()) == (1, False, False)


def test_missing_files_and_folders(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path in (tmp_path / "none.yaml", tmp_path):
        assert main(["generate", "--config", str(path)]) == 2
        assert f"--config {path} cannot be read" in capsys.readouterr().err


def test_values_are_checked_as_typed_ones(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["generate", "--config", config(tmp_path, "out: o\nfps: fast\n")])
    assert end.value.code == 2
    assert "--fps" in capsys.readouterr().err
    assert main(["generate", "--config", config(tmp_path, "out: o\nfps: -4\n")]) == 2
    assert "--fps" in capsys.readouterr().err


def test_nothing_of_yaml_is_executed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "made"
    text = f"out: !!python/object/apply:os.mkdir ['{target}']\n"
    assert main(["generate", "--config", config(tmp_path, text)]) == 2
    assert not target.exists()
    capsys.readouterr()


def test_results_hold_a_file_that_makes_them_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = tmp_path / "tiny.safetensors"
    save_checkpoint(model, {"G_ema": tiny.generator()}, notes={"about": "A test model."})
    words = ["generate", "--checkpoint", str(model), "--seeds", "5", "--yaws", "0", "--no-contact-sheet"]
    assert main([*words, "--out", str(tmp_path / "a")]) == 0
    assert main(["--config", str(tmp_path / "a" / "run.yaml"), "--out", str(tmp_path / "b")]) == 0
    image = "seed0005/yaw+000.png"
    assert (tmp_path / "a" / image).read_bytes() == (tmp_path / "b" / image).read_bytes()
    settings = [json.loads((tmp_path / name / "settings.json").read_text())["options"] for name in "ab"]
    assert settings[0] | {"out": ""} == settings[1] | {"out": ""}
    capsys.readouterr()


def test_a_file_of_the_users_is_not_replaced(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "run.yaml").write_text("# mine\nwidth: 3\n")
    assert main(["train", "--write-config", str(tmp_path / "w.yaml"), "--kimg", "2"]) == 0
    assert yaml.safe_load((tmp_path / "w.yaml").read_text())["kimg"] == 2.0
    from panohead.cli.results_folder import write_settings
    from panohead.cli.train import Train

    write_settings(out, "train", Train())
    assert (out / "run.yaml").read_text() == "# mine\nwidth: 3\n"
    (out / "run.yaml").unlink()
    write_settings(out, "train", Train(kimg=7))
    write_settings(out, "train", Train(kimg=8))
    assert yaml.safe_load((out / "run.yaml").read_text())["kimg"] == 8.0


def test_a_file_can_be_written_without_any_work(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, file = tmp_path / "out", tmp_path / "run.yaml"
    assert main(["synthesize", "--people", "2", "--out", str(out), "--write-config", str(file)]) == 0
    assert (out.exists(), f"wrote {file}" in capsys.readouterr().out) == (False, True)
    file.write_text(edited := file.read_text().replace("people: 2", "people: 3"))
    assert main(["synthesize", "--people", "2", "--out", str(out), "--write-config", str(file)]) == 1
    assert (file.read_text(), "exists, and may have been edited" in capsys.readouterr().err) == (edited, True)
    with pytest.raises(UsageError, match="no option peple; did you mean people"):
        with_config(["synthesize", "--config", config(tmp_path, "peple: 2")], COMMANDS)
