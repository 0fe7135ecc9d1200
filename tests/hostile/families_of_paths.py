"""Families of paths that are no regular files: pipes, devices, links to themselves, folders, very long names."""

import os
import random
import shutil
from pathlib import Path

from hostile.families import CHEAP, GENERATE, HEADS, STORED, TINY, case_of, copied, family, started_with_masks
from hostile.runner import Case


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
    (["generate", "--out", "out", *CHEAP, "--checkpoint", "@"], ".safetensors"),
    (["generate", "--out", "out", *CHEAP, "--checkpoint", "@"], ".pkl"),
    ([*GENERATE, "--background", "@"], ".png"),
    (["generate", "--checkpoint", str(TINY), *CHEAP, "--out", "@"], ""),
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
    return case_of(argv, f"{' '.join(template[:2])} {option}: {kind}", programs=("python",))


_PREPARE = ["prepare", _ME, "--masks", str(STORED / "photo"), "--poses", "poses.csv", "--size", "64", "--workers", "1",
            "--out", "prepared"]  # fmt: skip
_SYNTHESIZE = ["synthesize", "--people", "2", "--views", "2", "--resolution", "32", "--seed", "5", "--depth",
               "--workers", "1", "--out", "synthetic"]  # fmt: skip
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
    ("prepared", "prepare.json", _PREPARE),
    ("prepared", ".prepare", _PREPARE),
    ("prepared", ".prepare/journal.jsonl", _PREPARE),
    ("prepared", ".prepare/workers.log", _PREPARE),
    ("prepared", "images", _PREPARE),
    ("run", "notes.jsonl", ["train", "--resume", "run", "--quiet", "--kimg", "0.024", "--data", str(HEADS)]),
    ("run", ".lock", ["train", "--resume", "run", "--quiet", "--kimg", "0.024", "--data", str(HEADS)]),
    ("synthetic", "people.jsonl", _SYNTHESIZE),
    ("synthetic", "images", _SYNTHESIZE),
]


@family(5)
def odd_files_inside(rng: random.Random, folder: Path) -> Case:
    name, inner, argv = rng.choice(_INSIDE)
    place = copied(name, folder) / inner
    if name == "prepared":
        started_with_masks(folder / name, str(STORED / "photo"))
    (folder / "poses.csv").write_text("file,yaw_deg,pitch_deg,roll_deg,box\nme.png,0,0,0,1 1 60 60\n")
    if place.is_dir():
        shutil.rmtree(place)
    place.unlink(missing_ok=True)
    (folder / "victim").write_bytes(b"x")
    if rng.random() < 0.3:
        place.symlink_to(folder / "victim")
        return case_of(argv, f"{name}/{inner}: link to a file elsewhere", programs=("python",), victims=("victim",))
    _, kind = _odd_path(rng, place.parent, "")
    if (place.parent / "given").exists() or (place.parent / "given").is_symlink():
        if kind != "loop":
            os.rename(place.parent / "given", place)
        else:
            (place.parent / "given").unlink()
            place.symlink_to(place.name)
    return case_of(argv, f"{name}/{inner}: {kind}", programs=("python",))
