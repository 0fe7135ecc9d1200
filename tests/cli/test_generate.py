"""The command line on the smallest model: every product, and one sentence for every mistake."""

import base64
import json
import os
import re
import shlex
import struct
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh
from imageio_ffmpeg import count_frames_and_secs
from PIL import Image

import panohead
import tiny
from pages import parse_page
from panohead.checkpoint import load_checkpoint, save_checkpoint
from panohead.cli.common import parse_numbers
from panohead.cli.main import main
from panohead.cli.running.old_spellings import with_new_spellings
from panohead.errors import PanoHeadError
from panohead.media import is_marked_synthetic


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A checkpoint of the tiny generator."""
    path = tmp_path_factory.mktemp("model") / "tiny.safetensors"
    save_checkpoint(path, {"G_ema": tiny.generator()}, notes={"about": "A test model."})
    return str(path)


def test_generate_writes_everything_that_is_asked_for(model: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    arguments = ["generate", "--checkpoint", model, "--out", str(out), "--seeds", "0,3", "--yaws", "0", "-45"]
    arguments += ["--turntable", "--frames", "4", "--mesh", "glb", "ply", "mrc", "--mesh-resolution", "24"]
    assert main([*arguments, "--mesh-level", "2", "--depth", "--masks"]) == 0
    names = sorted(str(p.relative_to(out)) for p in out.rglob("*") if p.is_file())
    per_seed = ["{0}.glb", "{0}.mrc", "{0}.ply", "{0}_turntable.mp4"]
    per_view = ["{0}/yaw{1}.png", "{0}/yaw{1}_depth.png", "{0}/yaw{1}_mask.png"]
    seeds, yaws = ("seed0000", "seed0003"), ("+000", "-045")
    expected = [name.format(seed) for seed in seeds for name in per_seed]
    expected += [name.format(seed, yaw) for seed in seeds for yaw in yaws for name in per_view]
    assert names == sorted([*expected, "contact_sheet.png", "run.yaml", "settings.json"])

    with Image.open(out / "seed0000" / "yaw+000.png") as image:
        assert (image.mode, image.size) == ("RGB", (128, 128))
    assert is_marked_synthetic(out / "seed0000" / "yaw+000.png")
    assert is_marked_synthetic(out / "contact_sheet.png")
    assert count_frames_and_secs(str(out / "seed0000_turntable.mp4"))[0] == 4
    head = trimesh.load(out / "seed0000.glb", force="mesh")
    assert 0.02 < head.extents.max() < 0.6, "life size in meters"
    painted = trimesh.load(out / "seed0000.ply", force="mesh")
    assert painted.visual.vertex_colors.shape == (len(head.vertices), 4)
    volume = (out / "seed0000.mrc").read_bytes()
    assert struct.unpack("<4i", volume[:16]) == (24, 24, 24, 2)


def test_heads_made_together_are_those_made_one_by_one(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Bytes of images and meshes depend neither on the number of threads nor on the other heads."""
    common = ["generate", "--checkpoint", model, "--yaws", "0", "90", "--no-contact-sheet", "--depth"]
    common += ["--turntable", "--turntable-format", "png", "--frames", "3"]
    common += ["--mesh", "ply", "--mesh-resolution", "24", "--mesh-level", "2"]
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        assert main([*common, "--seeds", "0,3", "--out", str(tmp_path / "together")]) == 0
        assert re.search(r"wrote 2 heads to .*\([\d.]+ heads/s\)", "".join(capsys.readouterr()).replace("\n", " "))
        for seed, threads in (("0", 1), ("3", 2)):
            torch.set_num_threads(threads)
            assert main([*common, "--seeds", seed, "--out", str(tmp_path / "alone")]) == 0
    finally:
        torch.set_num_threads(before)
    together, alone = (
        {
            path.relative_to(folder): path.read_bytes()
            for path in sorted(folder.rglob("*"))
            if path.is_file() and path.name not in ("settings.json", "run.yaml")
        }
        for folder in (tmp_path / "together", tmp_path / "alone")
    )
    assert together.keys() == alone.keys()
    assert len(together) == 2 * (2 * 2 + 3 + 1)
    assert [str(path) for path, content in together.items() if alone[path] != content] == []


def test_generate_cut_out_mixing_and_backgrounds(model: str, tmp_path: Path) -> None:
    common = ["generate", "--checkpoint", model, "--seeds", "0", "--yaws", "0", "--no-contact-sheet"]
    images = {}
    for name, options in {
        "plain": [],
        "transparent": ["--transparent", "--turntable", "--turntable-format", "png", "--frames", "2"],
        "mixed": ["--mix-with", "1", "--mix-rows", "0-2"],
        "white": ["--background", "#ffffff"],
        "other": ["--background", "seed:1"],
    }.items():
        assert main([*common, "--out", str(tmp_path / name), *options]) == 0
        with Image.open(tmp_path / name / "seed0000" / "yaw+000.png") as image:
            images[name] = np.asarray(image)
    assert images["transparent"].shape == (128, 128, 4)
    frames = sorted((tmp_path / "transparent" / "seed0000_turntable").iterdir())
    assert len(frames) == 2
    for name in ("mixed", "white", "other"):
        assert not np.array_equal(images[name], images["plain"]), name


def test_interpolate(model: str, tmp_path: Path) -> None:
    arguments = ["interpolate", "--checkpoint", model, "--out", str(tmp_path), "--seeds", "0-2", "--count", "2"]
    assert main([*arguments, "--film-format", "gif"]) == 0
    with Image.open(tmp_path / "walk.gif") as video:
        assert video.n_frames == 6
    assert main([*arguments, "--film-format", "png", "--no-loop"]) == 0
    assert len(list((tmp_path / "walk").iterdir())) == 5


def test_doctor_says_what_is_there(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert main(["doctor"]) == 0
    report = capsys.readouterr().out
    for word in ("torch", "compiled CPU kernels", "ffmpeg", "extra 'face'"):
        assert word in report


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--checkpoint", "missing.safetensors"], "there is no checkpoint missing.safetensors"),
        (["--seeds", "0-x"], "seeds '0-x' are not understood"),
        (["--seeds", "5-1"], "seeds '5-1' count down; give 1-5"),
        (["--transparent", "--turntable"], "mp4 has no transparency"),
        (["--transparent", "--background", "red"], "exclude each other"),
        (["--background", "no_such_thing"], "neither a color such as #ffffff nor an image"),
        (["--truncation-psi", "nan"], "--truncation-psi is nan; give a number from -5 to 5"),
        (["--yaws", "inf"], "--yaws is inf"),
        (["--pitch", "91"], "--pitch is 91; give a number from -90 to 90"),
        (["--rays", "-4"], "--rays is -4"),
        (["--resolution", "0"], "--resolution is 0"),
        (["--turntable", "--frames", "0"], "--frames is 0"),
        (["--turntable", "--fps", "0"], "--fps is 0"),
        (["--cell-size", "1"], "--cell-size is 1"),
        (["--mesh-resolution", "1"], "--mesh-resolution is 1; give a whole number from 8 to 1024"),
        (["--triangles", "5"], "--triangles is 5"),
        (["--texture", "512", "--triangles", "full"], "--texture needs a number of triangles"),
        (["--smooth", "3"], "--smooth does nothing without --mesh"),
        (["--frames", "12"], "--frames does nothing without --turntable"),
        (["--mix-rows", "0-3"], "--mix-rows does nothing without --mix-with"),
        (["--background", "seed:1-2"], "names 2 seeds"),
        (["--mix-with", "-3"], "--mix-with is -3"),
        (["--truncation-cutoff", "9"], "--truncation-cutoff is 9; give a whole number from 0 to 6"),
        (["--device", "cuda:99"], "device 'cuda:99' cannot be used"),
        (["--mix-with", "1", "--mix-rows", "90"], "rows of ws go from 0 to 5"),
        (["--mesh", "glb", "--mesh-level", "1e9", "--mesh-resolution", "16"], "no surface"),
    ],
)
def test_mistakes_are_told_in_one_sentence(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    failures = ("there is no checkpoint", "neither a color", "cannot be used", "no surface")
    given = ["generate", "--out", str(tmp_path / "out"), "--seeds", "0", "--yaws", "0"]
    if "--checkpoint" not in arguments:
        given += ["--checkpoint", model]
    assert main([*given, *arguments]) == (1 if any(words in message for words in failures) else 2)
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert last.startswith("panohead: ")
    assert message in last


def test_options_that_do_nothing_on_a_model_are_refused_before_the_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A model without background: another seed's background would change nothing."""
    path = tmp_path / "bare.safetensors"
    save_checkpoint(path, {"G_ema": tiny.generator(config=replace(tiny.CONFIG, use_background=False))})
    out = tmp_path / "out"
    arguments = ["generate", "--checkpoint", str(path), "--out", str(out), "--seeds", "0", "--yaws", "0"]
    assert main([*arguments, "--background", "seed:3"]) == 2
    assert "heads without a background" in capsys.readouterr().err
    assert not out.exists()
    assert main([*arguments, "--background", "#102030", "--mix-with", "1"]) == 0, "rows follow the model"


def test_settings_tell_how_to_make_the_files_again(model: str, tmp_path: Path) -> None:
    arguments = ["generate", "--checkpoint", model, "--seeds", "1-2", "--yaws", "0", "30", "--no-contact-sheet"]
    assert main([*arguments, "--out", str(tmp_path / "a")]) == 0
    settings = json.loads((tmp_path / "a" / "settings.json").read_text())
    assert (settings["seeds"], settings["truncation_psi"]) == ([1, 2], 0.7)
    assert settings["checkpoint_sha256"] == load_checkpoint(model).sha256
    assert settings["version"] == panohead.__version__
    words = shlex.split(settings["command"])
    assert words[0] == "panohead"
    assert main([*words[1:], "--out", str(tmp_path / "b")]) == 0
    names = [path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*.png")]
    assert len(names) == 4
    for name in names:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_one_custom_for_the_folder(model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same command may write to its folder again; others are refused before any work, without --overwrite."""
    small = ["--checkpoint", model, "--seeds", "0", "--yaws", "0", "--no-contact-sheet"]
    generate = ["generate", "--out", str(tmp_path / "out"), *small]
    assert main(generate) == 0
    assert main([*generate, "--seeds", "1"]) == 0
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"seed0000", "seed0001", "run.yaml", "settings.json"}
    walk = ["interpolate", "--checkpoint", model, "--seeds", "0-1", "--frames", "1", "--video-format", "gif"]
    assert main([*walk, "--out", str(tmp_path / "out")]) == 1
    assert "holds results of panohead generate; choose another --out, or give --overwrite" in capsys.readouterr().err
    assert not (tmp_path / "out" / "walk.gif").exists()
    assert main([*walk, "--out", str(tmp_path / "out"), "--overwrite"]) == 0
    for name, what in (("images", "a dataset"), ("stats.jsonl", "a training run")):
        (tmp_path / what).mkdir()
        (tmp_path / what / name).write_text("")
        assert main(["generate", "--out", str(tmp_path / what), *small]) == 1
        assert f"holds {what}" in capsys.readouterr().err
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("kept")
    assert main(["generate", "--out", str(tmp_path / "mine"), *small]) == 0
    assert (tmp_path / "mine" / "notes.txt").read_text() == "kept"


@pytest.mark.parametrize("arguments", [["--heads", "0"], ["--seeds", "0"], ["--frames", "0"], ["--heads", "1000"]])
def test_the_demo_checks_before_the_work(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    assert main(["demo", "--checkpoint", model, "--out", str(tmp_path / "out"), *arguments]) == 2
    assert not (tmp_path / "out").exists()
    assert "give a whole number from 1 to" in capsys.readouterr().err


def test_old_spellings_are_new_ones() -> None:
    assert with_new_spellings(["interpolate", "--count=3", "--film_format", "gif"]) == [
        "interpolate", "--frames=3", "--video-format", "gif",
    ]  # fmt: skip
    assert with_new_spellings(["dataset", "convert", "a", "--size", "8"]) == [
        "dataset", "convert", "a", "--resolution", "8",
    ]  # fmt: skip
    for words in (["demo", "--out", "--seeds-of-x"], ["generate", "--", "--resolution"], ["dataset"], [], ["--help"]):
        assert with_new_spellings(words) == words


def test_debug_shows_where(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["generate", "--out", str(tmp_path), "--checkpoint", "missing.safetensors", "--debug"]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_output_that_cannot_be_made(model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("in the way")
    assert main(["generate", "--checkpoint", model, "--out", str(tmp_path / "file" / "out")]) == 1
    assert "choose another with --out" in capsys.readouterr().err


@pytest.mark.skipif(sys.platform == "win32", reason="pipes end differently")
@pytest.mark.parametrize("arguments", [["--help"], ["train", "--preset", "panohead_512", "--dry-run"]])
def test_a_reader_that_goes_away_is_no_error(arguments: list[str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "panohead.cli.main", *arguments]
    try:
        done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, timeout=120, check=False)
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (141, "")


def test_wrong_usage_is_exit_code_two() -> None:
    for arguments in ([], ["nonsense"], ["generate"], ["generate", "--out", "x", "--frames", "many"]):
        with pytest.raises(SystemExit) as stopped:
            main(arguments)
        assert stopped.value.code == 2


def test_numbers_and_ranges() -> None:
    assert parse_numbers("0-3, 8") == [0, 1, 2, 3, 8]
    for wrong in ("", "-1", "1-", "0-200000", "99999999999"):
        with pytest.raises(PanoHeadError):
            parse_numbers(wrong)


def test_demo_page_shows_what_was_written(model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from panohead.head import Head

    whole = Head.mesh
    monkeypatch.setattr(Head, "mesh", lambda self, resolution, **_: whole(self, 24, level=2.0))
    assert main(["demo", "--checkpoint", model, "--out", str(tmp_path), "--seeds", "1", "--frames", "2"]) == 0
    page = (tmp_path / "index.html").read_text()
    for name in ("turntable.mp4", "contact_sheet.png", "head.glb"):
        assert (tmp_path / name).stat().st_size > 0
        assert name in page
    assert "A test model." in page
    (facts,) = parse_page(page).head_facts()
    assert base64.b64decode(facts["mesh"]) == (tmp_path / "head.glb").read_bytes()
    header = (tmp_path / "head.glb").read_bytes()
    length = struct.unpack("<I", header[12:16])[0]
    assert "asset" in json.loads(header[20 : 20 + length])


def test_a_reconstructed_head_is_rendered_like_a_sampled_one(tmp_path: Path) -> None:
    stored = Path(__file__).parents[1] / "stored"
    head, checkpoint = stored / "reconstruction", str(stored / "tiny.safetensors")
    arguments = ["--checkpoint", checkpoint, "--head", str(head), "--yaws", "10"]
    assert main(["generate", *arguments, "--out", str(tmp_path)]) == 0
    names = {str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file()}
    assert names == {"head/yaw+010.png", "contact_sheet.png", "run.yaml", "settings.json"}
    expected = panohead.load(checkpoint).open_reconstruction(head).render(panohead.Camera.orbit(10)).to_pil()
    with Image.open(tmp_path / "head" / "yaw+010.png") as image:
        assert np.array_equal(np.asarray(image), np.asarray(expected))
    assert "seeds" not in json.loads((tmp_path / "settings.json").read_text())


@pytest.mark.parametrize("option", [["--seeds", "3"], ["--truncation-psi", "1"], ["--mix-with", "2"]])
def test_options_of_sampling_are_refused_with_a_head(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], option: list[str]
) -> None:
    arguments = ["--checkpoint", model, "--head", str(tmp_path), "--out", str(tmp_path / "out"), *option]
    assert main(["generate", *arguments]) == 2
    assert f"{option[0]} does nothing with --head" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_folder_without_a_head_is_named(model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--checkpoint", model, "--head", str(tmp_path / "none"), "--out", str(tmp_path / "out")]
    assert main(["generate", *arguments]) == 1
    assert str(tmp_path / "none") in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
