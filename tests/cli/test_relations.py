"""Options that do not go together, or do nothing: wrong usage, said before any file is read or folder made."""

import json
from pathlib import Path

import pytest

import tiny
from data.small_photos import write_photos
from panohead.checkpoint import save_checkpoint
from panohead.cli.main import main

NEW_RUN = "train --preset tiny --data none"
RELATIONS = [
    (f"{NEW_RUN} --batch 7 --micro-batch 2", "a batch of 7 cannot be shared by 1 device(s) in micro-batches of 2"),
    (f"{NEW_RUN} --dry-run --batch 7 --micro-batch 2", "choose --batch as a multiple of 2"),
    (f"{NEW_RUN} --micro-batch 3", "choose --batch as a multiple of 3"),
    (f"{NEW_RUN} --set discriminator.resolution=64", "the discriminator takes 64 pixels"),
    (f"{NEW_RUN} --set discriminator.mbstd_group_size=3", "do not split into groups of 3"),
    (f"{NEW_RUN} --set generator.channel_base=1048576 generator.channel_max=4096", "no networks can be made"),
    (f"{NEW_RUN} --set start_kimg=3 --kimg 2", "total_kimg is 2"),
    ("train --preset panohead_512_stage2 --data none", "give the checkpoint that it continues with --init"),
    (f"{NEW_RUN} --dry-run --estimate", "--dry-run prints the configuration, --estimate what it costs; choose one"),
    ("train --resume none", "--out cannot be changed by --resume"),
    ("synthesize --people 1 --expressions 11 --views 10", "is over 100 images per person"),
    ("synthesize --people 1 --edition 1 --expressions 2", "edition 1 has one expression per person"),
    ("synthesize --people 1 --edition 1 --light per-person", "edition 1 has one expression per person"),
    ("synthesize --people 1 --preview --depth", "--depth does nothing with --preview"),
    ("synthesize --preset heads --preview --ray local", "--ray does nothing with --preview"),
    ("evaluate --metrics fid", "name one with --data"),
    ("evaluate --checkpoint none", "name one with --data"),
    ("evaluate --masks none", "name its images with --data"),
    ("evaluate --metrics mask --num 8", "--num does nothing without swd or fid or kid or is or pr among --metrics"),
    ("evaluate --metrics mask --cache x", "--cache does nothing without swd"),
    ("evaluate --metrics mask --subsets front", "--subsets does nothing without swd"),
    ("evaluate --metrics swd --data none --heads 3", "--heads does nothing without identity or mask"),
    ("evaluate --metrics swd --data none --inception-weights x", "--inception-weights does nothing without fid"),
    ("evaluate --people-seed 3", "--people-seed does nothing without reconstruction among --metrics"),
    ("evaluate --identity-model x.onnx", "--identity-model does nothing without identity among --metrics"),
    (
        "generate --seeds 0 --mesh ply --texture 64",
        "--texture does nothing without glb, obj or usdz in --mesh, or --html",
    ),
    ("generate --seeds 0 --mesh mrc --triangles 100", "--triangles does nothing without a format of surfaces"),
    ("generate --seeds 0 --no-trim", "--no-trim does nothing without --mesh or --html"),
    ("generate --seeds 0 --texture 64", "--texture does nothing without --mesh or --html"),
    ("animate seed:1 --blendshapes none.csv --write glb --yaw 30", "--yaw does nothing without video in --write"),
    (
        "animate seed:1 --blendshapes none.csv --write glb --watermark",
        "--watermark does nothing without video in --write",
    ),
    ("reconstruct me.png --mesh stl --texture 64", "--texture does nothing without glb, obj or usdz"),
    ("reconstruct me.png --resume --overwrite", "--resume continues what --overwrite would replace; choose one"),
    ("reconstruct me.png --pose-kind 6drepnet360", "--pose-kind does nothing without --pose-model"),
    ("prepare me.png --pose-kind 6drepnet360", "--pose-kind does nothing without --pose-model"),
    (
        "prepare me.png --gates.min-coverage 0.9 --gates.max-coverage 0.1",
        "--gates.min-coverage is 0.9 and max_coverage 0.1, so no crop would pass",
    ),
    ("dataset convert none --to folder --shard-mb 3", "--shard-mb does nothing without --to shards"),
    ("dataset convert x.json --cameras-from opengl --to zip", "--to does nothing without a dataset's folder"),
]


@pytest.mark.parametrize(("line", "sentence"), RELATIONS)
def test_wrong_usage_is_said_first(
    line: str, sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    command, _, options = line.partition(" --set ")
    words = [*command.split(), "--out", "new/out"] + (["--set", *options.split()] if options else [])
    assert main(words) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert sentence in said
    assert list(tmp_path.iterdir()) == []


def test_more_pixels_than_a_generator_makes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_checkpoint(tmp_path / "c.safetensors", {"G_ema": tiny.generator()})
    data = write_photos(tmp_path / "data", count=2, side=32)
    words = ["--metrics", "swd", "--data", str(data), "--checkpoint", str(tmp_path / "c.safetensors")]
    assert main(["evaluate", *words, "--resolution", "4096", "--num", "2", "--out", str(tmp_path / "out")]) == 2
    assert "fewer than the 4096 to compare at; give --resolution 128" in capsys.readouterr().err
    assert not (tmp_path / "out" / "metrics.json").exists()


def test_a_setting_that_is_needed_is_not_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_checkpoint(tmp_path / "c.safetensors", {"G_ema": tiny.generator()})
    words = ["--metrics", "mask", "--checkpoint", str(tmp_path / "c.safetensors"), "--truncation-psi", "0.5"]
    assert main(["evaluate", *words, "--heads", "1", "--out", str(tmp_path / "out")]) == 0, capsys.readouterr().err
    results = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert results["settings"]["heads"] == 1
