"""Families of hostile inputs: each makes the files and the command line of one case from a random generator."""

import csv
import hashlib
import io
import json
import random
import shutil
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
    with_metadata,
)

STORED = Path(__file__).parents[1] / "stored"
HEADS = Path(__file__).parents[1] / "training" / "heads"
TINY = STORED / "tiny.safetensors"
Maker = Callable[[random.Random, Path], Case]
FAMILIES: dict[str, tuple[Maker, int]] = {}
"""Makers by name of the family, and their shares of the inputs."""
CHEAP = ["--seeds", "1", "--yaws", "0", "--no-contact-sheet", "--resolution", "8"]
GENERATE = ["generate", "--checkpoint", str(TINY), "--out", "out", *CHEAP]


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


def case_of(argv: list[str], note: str, *names: str, **options: Any) -> Case:
    return Case("", 0, tuple(argv), Path(), names=names, note=note, **options)


def copied(name: str, folder: Path) -> Path:
    return Path(shutil.copytree(STORED / name, folder / name))


def started_with_masks(prepared: Path, masks: str) -> None:
    """Change a prepared dataset as if it had been started with these masks, so that it is continued, not refused."""
    settings = prepared / "prepare.json"
    settings.write_text(json.dumps(json.loads(settings.read_text()) | {"masks": masks}))


def spoil_json_file(rng: random.Random, path: Path) -> str:
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
        GENERATE,
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
    return case_of(argv, " ".join(argv[-3:])[:200], programs=("python",) if command == "synthesize" else ())


@family(24)
def training_settings(rng: random.Random, folder: Path) -> Case:
    preset = rng.choice(("tiny", "demo_64", "demo_128", "panohead_512"))
    name = rng.choice(_material("settings"))
    values = (*NUMBERS, "null", "true", "[]", "{}", "[1,2]", "NaN", "[" * 5000, '"x"', "[null]", "3", "64", "7", "-2.5")
    value = rng.choice(values)
    argv = ["train", "--preset", preset, "--dry-run", "--set", f"{name}={value}"]
    return case_of(argv, f"{name}={value[:30]}")


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
    argv = list(GENERATE)
    argv[2] = path.name
    return case_of(argv, note, path.name)


def _right_hash(content: bytes, networks: str) -> str:
    """Return the hash that a forger writes: that of the tensors in the file with other metadata."""
    from safetensors.torch import load

    from panohead.files.tensor_hash import tensors_sha256

    try:
        return tensors_sha256(load(content), networks)
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
        argv = [*GENERATE[:2], "network.pkl", *GENERATE[3:]]
    return case_of(argv, note, "network.pkl", codes=(0, 1))


@family(3)
def saved_reconstruction(rng: random.Random, folder: Path) -> Case:
    out = copied(rng.choice(("interrupted", "reconstruction", "interrupted_official")), folder)
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
    return case_of(argv, f"{file.name}: {note}", file.name, out.name)


@family(8)
def run_folder(rng: random.Random, folder: Path) -> Case:
    run = copied("run", folder)
    states = list((run / "states").iterdir())
    file = rng.choice(
        (run / "config.json", run / "config.json", run / "stats.jsonl", run / "environment.json", *states)
    )
    note = _spoil_state(rng, file) if file.suffix == ".pt" else spoil_json_file(rng, file)
    argv = ["train", "--resume", run.name, "--data", str(HEADS), "--kimg", "0.024", "--device", "cpu", "--quiet"]
    if file.name == "config.json" and rng.random() < 0.8:
        argv = ["train", "--resume", run.name, "--dry-run"]
    return case_of(argv, f"{file.name}: {note}", file.name, run.name)


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
    return case_of(argv, note)


@family(5)
def crop_labels(rng: random.Random, folder: Path) -> Case:
    shutil.copytree(STORED / "photo", folder / "photo")
    note = spoil_json_file(rng, folder / "photo" / "dataset.json")
    argv = ["reconstruct", "photo/me.png", "--aligned", "--checkpoint", str(TINY), "--out", "out", "--steps", "1"]
    argv += ["--tuning-steps", "0", "--frames", "1", "--mesh", "ply", "--mesh-resolution", "8", "--mesh-level", "2"]
    return case_of(argv, note, "dataset.json", "me.png")


@family(5)
def named_images(rng: random.Random, folder: Path) -> Case:
    kind, content = rng.choice(list(hostile_images().items()))
    (folder / "given.png").write_bytes(content)
    if rng.random() < 0.6:
        return case_of([*GENERATE, "--background", "given.png"], kind, "given.png")
    (folder / "dataset.json").write_text((STORED / "photo" / "dataset.json").read_text().replace("me.png", "given.png"))
    argv = ["reconstruct", "given.png", "--aligned", "--checkpoint", str(TINY), "--out", "out", "--steps", "1"]
    return case_of(argv, kind, "given.png")
