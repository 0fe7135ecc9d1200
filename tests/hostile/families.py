"""Families of hostile inputs: each makes the files and the command line of one case from a random generator."""

import csv
import hashlib
import io
import json
import os
import random
import shutil
import tarfile
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from hostile.runner import Case
from hostile.spoil import (
    NUMBERS,
    hostile_images,
    spoiled_bytes,
    spoiled_json,
    spoiled_safetensors,
    spoiled_zip,
    with_metadata,
)

STORED = Path(__file__).parents[1] / "stored"
HEADS = Path(__file__).parents[1] / "training" / "heads"
TINY = STORED / "tiny.safetensors"
Maker = Callable[[random.Random, Path], Case]
FAMILIES: dict[str, tuple[Maker, int]] = {}
"""Makers by name of the family, and their shares of the inputs."""
_CHEAP = ["--seeds", "1", "--yaws", "0", "--no-contact-sheet", "--resolution", "8"]
_GENERATE = ["generate", "--checkpoint", str(TINY), "--out", "out", *_CHEAP]


def family(share: int) -> Callable[[Maker], Maker]:
    """Enter a maker under its name."""

    def enter(maker: Maker) -> Maker:
        FAMILIES[maker.__name__.replace("_", " ")] = (maker, share)
        return maker

    return enter


def make(name: str, index: int, seed: int, folder: Path) -> Case:
    """Make the files of a case in an empty folder and return it."""
    case = FAMILIES[name][0](random.Random(f"{seed} {name} {index}"), folder)
    return replace(case, family=name, index=index, folder=folder)


def _case(argv: list[str], note: str, *names: str, **options: Any) -> Case:
    return Case("", 0, tuple(argv), Path(), names=names, note=note, **options)


def _copied(name: str, folder: Path) -> Path:
    return Path(shutil.copytree(STORED / name, folder / name))


def _spoil_json_file(rng: random.Random, path: Path) -> str:
    """Spoil a JSON file, or one line of a JSON-lines file."""
    text = path.read_text()
    if path.suffix == ".jsonl":
        lines = text.splitlines()
        at = rng.randrange(len(lines))
        spoiled, note = spoiled_json(rng, json.loads(lines[at]))
        parts = [line.encode() for line in lines]
        parts[at] = spoiled
        path.write_bytes(b"\n".join(parts) + b"\n")
        return f"{path.name} line {at + 1}: {note}"
    spoiled, note = spoiled_json(rng, json.loads(text))
    path.write_bytes(spoiled)
    return f"{path.name}: {note}"


@cache
def _material(name: str) -> Any:
    """Contents that are expensive to make, by name."""
    if name == "settings":
        from panohead.presets import PRESETS

        names: list[str] = []

        def walk(tree: Any, prefix: str) -> None:
            for key, value in tree.items():
                walk(value, f"{prefix}{key}.") if isinstance(value, dict) else names.append(prefix + key)

        import dataclasses

        walk(dataclasses.asdict(PRESETS["demo_128"]()), "")
        return names
    if name == "pickles":
        from interop import hostile_cases

        makers = ("instruction_cases", "claim_cases", "tensor_cases", "content_cases")
        cases = [case for maker in makers for case in getattr(hostile_cases, maker)()]
        return [(case.name, case.data) for case in cases] + [
            ("runs", data) for data in hostile_cases.executing_pickles()
        ]
    raise KeyError(name)


# Numbers and words on the command line.

_OPTIONS: dict[str, tuple[list[str], tuple[str, ...]]] = {
    "generate": (
        _GENERATE,
        ("seeds", "truncation-psi", "truncation-cutoff", "yaws", "pitch", "resolution", "cell-size", "frames", "fps",
         "mix-with", "mix-rows", "mesh-resolution", "mesh-level", "smooth", "triangles", "texture", "background"),
    ),
    "interpolate": (
        ["interpolate", "--checkpoint", str(TINY), "--out", "out", "--seeds", "1,2", "--count", "1"],
        ("seeds", "truncation-psi", "count", "fps", "yaw-sweep", "pitch"),
    ),
    "demo": (["demo", "--checkpoint", str(TINY), "--out", "out", "--seeds", "1", "--frames", "1"], ("seeds", "frames")),
    "prepare": (
        ["prepare", str(STORED / "photo" / "none.png"), "--out", "out"],
        ("size", "workers", "gates.min-core-px", "gates.min-sharpness", "gates.duplicate-bits"),
    ),
    "synthesize": (
        ["synthesize", "--people", "1", "--views", "1", "--resolution", "16", "--out", "out", "--workers", "1"],
        ("people", "views", "resolution", "seed", "workers", "focal", "pitch-std-deg", "expressions", "edition"),
    ),
    "reconstruct": (
        ["reconstruct", str(STORED / "photo" / "me.png"), "--aligned", "--checkpoint", str(TINY), "--out", "out",
         "--steps", "1", "--tuning-steps", "0", "--frames", "1", "--mesh-resolution", "8"],
        ("seed", "steps", "tuning-steps", "unseen-weight", "frames", "mesh-resolution", "mesh-level", "smooth",
         "triangles", "texture", "background"),
    ),
    "evaluate": (
        ["evaluate", "--checkpoint", str(TINY), "--out", "out", "--data", "missing"],
        ("seed", "images", "batch", "people", "device"),
    ),
    "dataset convert": (
        ["dataset", "convert", str(HEADS), "--out", "out", "--to", "shards"], ("size", "shard-mb"),
    ),
    "train": (
        ["train", "--preset", "tiny", "--data", "missing", "--out", "run", "--device", "cpu", "--quiet"],
        ("kimg", "batch", "micro-batch", "seed", "device"),
    ),
}  # fmt: skip


@family(14)
def command_line_numbers(rng: random.Random, folder: Path) -> Case:
    command = rng.choice(list(_OPTIONS))
    base, options = _OPTIONS[command]
    argv = list(base)
    for option in rng.sample(options, rng.choice((1, 1, 1, min(2, len(options))))):
        value = rng.choice(NUMBERS)
        if f"--{option}" in argv:
            argv[argv.index(f"--{option}") + 1] = value
        else:
            argv += [f"--{option}={value}"]
        if option.startswith(("mesh", "smooth", "triangles", "texture")) and command == "generate":
            argv += ["--mesh", "ply"]
    return _case(argv, " ".join(argv[-3:])[:200])


@family(24)
def training_settings(rng: random.Random, folder: Path) -> Case:
    preset = rng.choice(("tiny", "demo_64", "demo_128", "panohead_512"))
    name = rng.choice(_material("settings"))
    values = (*NUMBERS, "null", "true", "[]", "{}", "[1,2]", "NaN", "[" * 5000, '"x"', "[null]", "3", "64", "7", "-2.5")
    value = rng.choice(values)
    argv = ["train", "--preset", preset, "--dry-run", "--set", f"{name}={value}"]
    return _case(argv, f"{name}={value[:30]}")


# Files of the models.


@family(20)
def checkpoint_file(rng: random.Random, folder: Path) -> Case:
    content = TINY.read_bytes()
    path = folder / "model.safetensors"
    if rng.random() < 0.4:
        spoiled, note = spoiled_safetensors(rng, content)
    else:
        note = ""

        def change(metadata: dict[str, str]) -> None:
            nonlocal note
            key = rng.choice(("networks", "networks", "networks", "kimg", "notes", "panohead", "sha256"))
            if key in ("networks", "kimg", "notes"):
                value = {"kimg": 1.0, "notes": {"a": {"b": [1, 2]}, "source": "x"}}.get(key)
                text, note = spoiled_json(rng, json.loads(metadata[key]) if value is None else value)
                metadata[key] = text.decode("utf-8", "replace")
            else:
                metadata[key], note = rng.choice((*NUMBERS, "\u202e")), ""
            note = f"{key}: {note}"
            if key == "networks":
                metadata["sha256"] = _right_hash(content, metadata["networks"])

        spoiled = with_metadata(content, change)
    path.write_bytes(spoiled)
    argv = list(_GENERATE)
    argv[2] = path.name
    return _case(argv, note, path.name)


def _right_hash(content: bytes, networks: str) -> str:
    """Return the hash that a forger writes: that of the tensors in the file with other metadata."""
    from safetensors.torch import load

    from panohead.checkpoint import _digest

    try:
        return _digest(load(content), networks)
    except UnicodeEncodeError:
        return ""


@family(10)
def official_pickle(rng: random.Random, folder: Path) -> Case:
    name, data = rng.choice(_material("pickles"))
    note = name
    if rng.random() < 0.4:
        data, note = spoiled_bytes(rng, data)
    (folder / "network.pkl").write_bytes(data)
    if rng.random() < 0.5:
        argv = ["import-official", "network.pkl", "--out", "out.safetensors"]
    else:
        argv = [*_GENERATE[:2], "network.pkl", *_GENERATE[3:]]
    return _case(argv, note, "network.pkl", codes=(0, 1))


@family(3)
def saved_reconstruction(rng: random.Random, folder: Path) -> Case:
    out = _copied(rng.choice(("interrupted", "reconstruction", "interrupted_official")), folder)
    official = out.name.endswith("official")
    file = rng.choice([path for path in out.iterdir() if not path.name.startswith("end.")])
    if file.suffix == ".safetensors" and rng.random() < 0.7:
        note = ""

        def change(metadata: dict[str, str]) -> None:
            nonlocal note
            key = rng.choice(("config", "notes", "notes"))
            text, note = spoiled_json(rng, json.loads(metadata[key]))
            metadata[key] = text.decode("utf-8", "replace")

        file.write_bytes(with_metadata(file.read_bytes(), change))
    else:
        spoiled, note = spoiled_bytes(rng, file.read_bytes())
        file.write_bytes(spoiled)
    argv = ["reconstruct", str(STORED / "photo" / "me.png"), "--aligned", "--checkpoint", str(TINY), "--out", out.name]
    argv += ["--seed", "3", "--frames", "1", "--mesh", "ply", "--mesh-resolution", "8", "--mesh-level", "2"]
    argv += (
        ["--steps", "3", "--tuning-steps", "4", "--preset", "official"]
        if official
        else ["--steps", "1", "--tuning-steps", "24"]
    )
    argv += ["--resume"] if rng.random() < 0.8 else []
    return _case(argv, f"{file.name}: {note}", file.name, out.name)


@family(8)
def run_folder(rng: random.Random, folder: Path) -> Case:
    run = _copied("run", folder)
    states = list((run / "states").iterdir())
    file = rng.choice(
        (run / "config.json", run / "config.json", run / "stats.jsonl", run / "environment.json", *states)
    )
    note = _spoil_state(rng, file) if file.suffix == ".pt" else _spoil_json_file(rng, file)
    argv = ["train", "--resume", run.name, "--data", str(HEADS), "--kimg", "0.024", "--device", "cpu", "--quiet"]
    if file.name == "config.json" and rng.random() < 0.8:
        argv = ["train", "--resume", run.name, "--dry-run"]
    return _case(argv, f"{file.name}: {note}", file.name, run.name)


def _spoil_state(rng: random.Random, file: Path) -> str:
    """Damage a state, or forge one with a right hash."""
    import torch

    content = file.read_bytes()
    if rng.random() < 0.4:
        spoiled, note = spoiled_bytes(rng, content)
        file.write_bytes(spoiled)
        return note
    saved = torch.load(io.BytesIO(content[82:]), weights_only=True)
    state = saved["state"]
    key = rng.choice(list(state))
    value = rng.choice((None, [], {}, "text", -1, float("nan"), torch.zeros(3), 10**12, {"a": torch.ones(2)}))
    if rng.random() < 0.2:
        del state[key]
        note = f"without {key}"
    else:
        state[key], note = value, f"{key} is {str(value)[:20]}"
    buffer = io.BytesIO()
    torch.save(saved, buffer)
    payload = buffer.getvalue()
    file.write_bytes(b"panohead-state-1 " + hashlib.sha256(payload).hexdigest().encode() + b"\n" + payload)
    return f"forged: {note}"


# Datasets.

_DATASET_COMMANDS = (
    ["dataset", "inspect", "data", "--picture", "poses.png"],
    ["dataset", "check", "data"],
    ["dataset", "convert", "data", "--out", "copy", "--to", "folder"],
    ["dataset", "convert", "data", "--out", "copy", "--to", "folder", "--size", "16", "--renumber"],
    ["dataset", "convert", "data", "--out", "copy", "--to", "shards"],
    ["dataset", "convert", "data", "--out", "copy", "--to", "zip"],
)


def _dataset(folder: Path) -> Path:
    """Copy the synthetic dataset of four images as ``data``."""
    return Path(shutil.copytree(STORED / "synthetic", folder / "data"))


def _train_on(data: str) -> list[str]:
    return ["train", "--preset", "tiny", "--data", data, "--out", "run", "--device", "cpu", "--quiet",
            "--kimg", "0.008", "--batch", "8", "--set", "metric_images=4", "tick_kimg=0.008",
            "data.broken_limit=2"]  # fmt: skip


@family(16)
def dataset_labels(rng: random.Random, folder: Path) -> Case:
    data = _dataset(folder)
    note = _spoil_json_file(rng, data / "images" / "dataset.json")
    argv = _train_on("data") if rng.random() < 0.15 else list(rng.choice(_DATASET_COMMANDS))
    return _case(argv, note, "dataset.json", "data")


@family(8)
def dataset_images(rng: random.Random, folder: Path) -> Case:
    data = _dataset(folder)
    kind, content = rng.choice(list(hostile_images().items()))
    where = rng.choice(("images", "masks"))
    file = rng.choice(sorted((data / where).rglob("0000*.*")))
    if rng.random() < 0.15:
        content, kind = spoiled_bytes(rng, file.read_bytes())
    file.write_bytes(content)
    argv = _train_on("data") if rng.random() < 0.15 else list(rng.choice(_DATASET_COMMANDS))
    return _case(argv, f"{where}: {kind}", file.name, "data")


@family(10)
def dataset_archives(rng: random.Random, folder: Path) -> Case:
    source = _dataset(folder)
    target = folder / "zips"
    target.mkdir()
    broken = rng.choice(("images", "masks"))
    note = ""
    for name in ("images", "masks"):
        members = {p.relative_to(source / name).as_posix(): p.read_bytes() for p in (source / name).rglob("*.*")}
        content, found = spoiled_zip(rng, members)
        note = found if name == broken else note
        from hostile.spoil import zipped

        (target / f"{name}.zip").write_bytes(content if name == broken else zipped(members))
    argv = [word if word != "data" else "zips" for word in rng.choice(_DATASET_COMMANDS)]
    return _case(argv, f"{broken}.zip: {note}", "zips")


@family(8)
def dataset_shards(rng: random.Random, folder: Path) -> Case:
    source = _dataset(folder)
    (folder / "shards").mkdir()
    labels = json.loads((source / "images" / "dataset.json").read_text())["labels"]
    path = folder / "shards" / "photos.tar"
    note = ""
    with tarfile.open(path, "w") as archive:
        for number, (name, label) in enumerate(labels):
            text = json.dumps({"label": label}).encode()
            if number == 1 and rng.random() < 0.6:
                text, note = spoiled_json(rng, {"label": label})
            mask = (source / "masks" / name).with_suffix(".png")
            for suffix, content in (
                (".webp", (source / "images" / name).read_bytes()),
                (".mask.png", mask.read_bytes()),
                (".json", text),
            ):
                info = tarfile.TarInfo(f"{name.removesuffix('.webp')}{suffix}")
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
    if not note:
        spoiled, note = spoiled_bytes(rng, path.read_bytes())
        path.write_bytes(spoiled)
    argv = [word if word != "data" else "shards" for word in rng.choice(_DATASET_COMMANDS)]
    return _case(argv, note, "shards")


@family(12)
def synthetic_folder(rng: random.Random, folder: Path) -> Case:
    out = _copied("synthetic", folder)
    if rng.random() < 0.4:
        parts = out / "parts"
        parts.mkdir()
        record = json.loads((out / "people.jsonl").read_text().splitlines()[0])
        text, note = spoiled_json(rng, record)
        (parts / "000000.json").write_bytes(text)
        name = "000000.json"
    else:
        file = out / rng.choice(("people.jsonl", "synthesis.json"))
        note, name = _spoil_json_file(rng, file), file.name
    argv = [
        "synthesize",
        "--people",
        "2",
        "--views",
        "2",
        "--resolution",
        "32",
        "--seed",
        "5",
        "--depth",
        "--workers",
        "1",
    ]
    argv += ["--preview"] if rng.random() < 0.1 else []
    return _case([*argv, "--out", "synthetic"], note, name, "synthetic", programs=("python",))


@family(3)
def prepared_folder(rng: random.Random, folder: Path) -> Case:
    out = _copied("prepared", folder)
    (folder / "photos").mkdir()
    (out / ".prepare").mkdir(exist_ok=True)
    log = out / ".prepare" / "journal.jsonl"
    if not log.exists():
        shutil.copy(out / "prepare.jsonl", log)
    (folder / "victim.png").write_bytes(b"x")
    file = rng.choice((log, log, out / "prepare.json", out / "images" / "dataset.json"))
    note = _spoil_json_file(rng, file)
    (folder / "photos" / "notes.png").write_bytes(b"no photo")
    (folder / "poses.csv").write_text("file,yaw_deg,pitch_deg,roll_deg,box\nnotes.png,0,0,0,1 1 9 9\n")
    argv = ["prepare", "photos", "--out", "prepared", "--size", "64", "--workers", "1", "--poses", "poses.csv"]
    return _case(argv, note, file.name, "prepared")


# Small files that the user names.


@family(8)
def pose_file(rng: random.Random, folder: Path) -> Case:
    rows = [["file", "yaw_deg", "pitch_deg", "roll_deg", "box"], ["me.png", "10", "0", "0", "1 1 60 60"]]
    buffer = io.StringIO()
    if rng.random() < 0.7:
        rows[rng.randrange(2)][rng.randrange(5)] = rng.choice((*NUMBERS, "\0", "a" * 200_000, '"', "../x", "\ud800"))
    csv.writer(buffer).writerows(rows)
    content, note = buffer.getvalue().encode("utf-8", "replace"), str(rows)[:60]
    if rng.random() < 0.4:
        content, note = spoiled_bytes(rng, content)
    (folder / "poses.csv").write_bytes(content)
    argv = ["prepare", "none.png", "--out", "out", "--poses", "poses.csv"]
    if rng.random() < 0.4:
        argv = ["reconstruct", str(STORED / "photo" / "me.png"), "--poses", "poses.csv", "--checkpoint", "none"]
        argv += ["--out", "out"]
    return _case(argv, note)


@family(5)
def crop_labels(rng: random.Random, folder: Path) -> Case:
    shutil.copytree(STORED / "photo", folder / "photo")
    note = _spoil_json_file(rng, folder / "photo" / "dataset.json")
    argv = ["reconstruct", "photo/me.png", "--aligned", "--checkpoint", str(TINY), "--out", "out", "--steps", "1"]
    argv += ["--tuning-steps", "0", "--frames", "1", "--mesh", "ply", "--mesh-resolution", "8", "--mesh-level", "2"]
    return _case(argv, note, "dataset.json", "me.png")


@family(5)
def named_images(rng: random.Random, folder: Path) -> Case:
    kind, content = rng.choice(list(hostile_images().items()))
    (folder / "given.png").write_bytes(content)
    if rng.random() < 0.6:
        return _case([*_GENERATE, "--background", "given.png"], kind, "given.png")
    (folder / "dataset.json").write_text((STORED / "photo" / "dataset.json").read_text().replace("me.png", "given.png"))
    argv = ["reconstruct", "given.png", "--aligned", "--checkpoint", str(TINY), "--out", "out", "--steps", "1"]
    return _case(argv, kind, "given.png")


# Paths that are no regular files.


def _odd_path(rng: random.Random, folder: Path, suffix: str) -> tuple[str, str]:
    """Make something that is no readable regular file; return its path and what it is."""
    kind = rng.choice(("fifo", "folder", "device zero", "loop", "dangling", "long", "nul", "closed", "inside a file",
                       "empty", "sparse", "surrogate", "dash", "newline"))  # fmt: skip
    path = folder / f"given{suffix}"
    match kind:
        case "fifo":
            os.mkfifo(path)
        case "folder":
            path.mkdir()
        case "device zero":
            path.symlink_to("/dev/zero")
        case "loop":
            path.symlink_to(path.name)
        case "dangling":
            path.symlink_to("gone")
        case "long":
            return "n" * 5000 + suffix, kind
        case "nul":
            return "a\0b" + suffix, kind
        case "closed":
            path.write_bytes(b"x")
            path.chmod(0)
        case "inside a file":
            path.write_bytes(b"x")
            return f"{path.name}/more{suffix}", kind
        case "empty":
            path.write_bytes(b"")
        case "sparse":
            with path.open("wb") as file:
                file.truncate(20 << 30)
        case "surrogate":
            return f"a\udcff{suffix}", kind
        case "dash":
            return f"./-x{suffix}", kind
        case "newline":
            return f"a\nb{suffix}", kind
    return path.name, kind


_ME = str(STORED / "photo" / "me.png")
_RECONSTRUCT = ["reconstruct", _ME, "--aligned", "--checkpoint", str(TINY), "--steps", "1", "--tuning-steps", "0",
                "--frames", "1", "--mesh-resolution", "8"]  # fmt: skip
_PATHS: list[tuple[list[str], str]] = [
    (["generate", "--out", "out", *_CHEAP, "--checkpoint", "@"], ".safetensors"),
    (["generate", "--out", "out", *_CHEAP, "--checkpoint", "@"], ".pkl"),
    ([*_GENERATE, "--background", "@"], ".png"),
    (["generate", "--checkpoint", str(TINY), *_CHEAP, "--out", "@"], ""),
    (["interpolate", "--checkpoint", str(TINY), "--seeds", "1,2", "--count", "1", "--film-format", "png", "--out", "@"],
     ""),
    (["import-official", "@", "--out", "x.safetensors"], ".pkl"),
    (["prepare", "@", "--out", "out", "--workers", "1"], ".zip"),
    (["prepare", "none", "--out", "out", "--poses", "@"], ".csv"),
    (["prepare", "none", "--out", "out", "--masks", "@"], ""),
    (["prepare", "none", "--out", "out", "--pose-model", "@"], ".onnx"),
    (["prepare", "none", "--out", "out", "--mask-model", "@"], ".onnx"),
    (["dataset", "inspect", "@"], ""),
    (["dataset", "check", "@"], ""),
    (["dataset", "check", "@"], ".tar"),
    (["dataset", "convert", "@", "--to", "folder", "--out", "out"], ".zip"),
    (["dataset", "convert", str(STORED / "synthetic"), "--to", "folder", "--out", "@"], ""),
    (["dataset", "inspect", str(STORED / "synthetic"), "--picture", "@"], ".png"),
    (["train", "--preset", "tiny", "--out", "run", "--quiet", "--data", "@"], ""),
    (["train", "--preset", "tiny", "--data", "missing", "--quiet", "--out", "@"], ""),
    (["train", "--preset", "tiny", "--data", str(HEADS), "--quiet", "--out", "run", "--init", "@"], ".safetensors"),
    (["train", "--quiet", "--resume", "@"], ""),
    (["train", "--dry-run", "--resume", "@"], ""),
    (["evaluate", "--checkpoint", str(TINY), "--out", "out", "--data", "@"], ""),
    (["evaluate", "--checkpoint", "@", "--out", "out"], ".safetensors"),
    (["synthesize", "--people", "1", "--views", "1", "--resolution", "16", "--workers", "1", "--preview", "--out", "@"],
     ""),
    ([*_RECONSTRUCT, "--out", "@"], ""),
    ([*_RECONSTRUCT, "--out", "out", "--labels", "@"], ".json"),
    ([*_RECONSTRUCT, "--out", "out", "--masks", "@"], ""),
    ([*_RECONSTRUCT, "--out", "out", "--lpips", "@"], ".safetensors"),
    ([*_RECONSTRUCT[:1], "@", *_RECONSTRUCT[2:], "--out", "out"], ".png"),
]  # fmt: skip


@family(12)
def odd_paths(rng: random.Random, folder: Path) -> Case:
    template, suffix = rng.choice(_PATHS)
    path, kind = _odd_path(rng, folder, suffix)
    argv = [path if word == "@" else word for word in template]
    option = template[template.index("@") - 1]
    return _case(argv, f"{' '.join(template[:2])} {option}: {kind}", programs=("python",))


_INSIDE: list[tuple[str, str, list[str]]] = [
    ("run", "config.json", ["train", "--resume", "run", "--quiet", "--kimg", "0.024", "--data", str(HEADS)]),
    ("run", "stats.jsonl", ["train", "--resume", "run", "--quiet", "--kimg", "0.024", "--data", str(HEADS)]),
    ("run", "states", ["train", "--resume", "run", "--quiet", "--kimg", "0.024", "--data", str(HEADS)]),
    ("run", "snapshots", ["train", "--resume", "run", "--quiet", "--kimg", "0.024", "--data", str(HEADS)]),
    ("run", "report.html", ["train", "--resume", "run", "--quiet", "--kimg", "0.024", "--data", str(HEADS)]),
    ("synthetic", "synthesis.json", ["dataset", "check", "synthetic"]),
    ("synthetic", "images/dataset.json", ["dataset", "check", "synthetic"]),
    ("synthetic", "masks", ["dataset", "inspect", "synthetic", "--picture", "p.png"]),
    ("synthetic", "images/00000/000000_00.webp", ["dataset", "inspect", "synthetic", "--picture", "p.png"]),
    ("interrupted", "reconstruct.state", [*_RECONSTRUCT, "--out", "interrupted", "--resume"]),
    ("reconstruction", "tuned.difference.safetensors", [*_RECONSTRUCT, "--out", "reconstruction"]),
    ("photo", "dataset.json", [*_RECONSTRUCT[:1], "photo/me.png", *_RECONSTRUCT[2:], "--out", "out"]),
    ("prepared", "prepare.json", ["prepare", str(STORED / "photo"), "--size", "64", "--out", "prepared"]),
    ("prepared", ".prepare", ["prepare", str(STORED / "photo"), "--size", "64", "--out", "prepared"]),
]


@family(3)
def odd_files_inside(rng: random.Random, folder: Path) -> Case:
    name, inner, argv = rng.choice(_INSIDE)
    place = _copied(name, folder) / inner
    if place.is_dir():
        shutil.rmtree(place)
    place.unlink(missing_ok=True)
    _, kind = _odd_path(rng, place.parent, "")
    if (place.parent / "given").exists() or (place.parent / "given").is_symlink():
        if kind != "loop":
            os.rename(place.parent / "given", place)
        else:
            (place.parent / "given").unlink()
            place.symlink_to(place.name)
    return _case(argv, f"{name}/{inner}: {kind}", programs=("python",))
