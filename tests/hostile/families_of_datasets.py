"""Families of hostile datasets: labels, images, archives, shards, and folders that synthesize and prepare continue."""

import io
import json
import random
import shutil
import tarfile
from pathlib import Path

from hostile.families import STORED, case_of, copied, family, spoil_json_file, started_with_masks
from hostile.runner import Case
from hostile.spoil import hostile_images, png_of, spoiled_bytes, spoiled_json, spoiled_zip, zipped

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
    note = spoil_json_file(rng, data / "images" / "dataset.json")
    argv = _train_on("data") if rng.random() < 0.15 else list(rng.choice(_DATASET_COMMANDS))
    return case_of(argv, note, "dataset.json", "data")


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
    return case_of(argv, f"{where}: {kind}", file.name, "data")


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
        (target / f"{name}.zip").write_bytes(content if name == broken else zipped(members))
    argv = [word if word != "data" else "zips" for word in rng.choice(_DATASET_COMMANDS)]
    return case_of(argv, f"{broken}.zip: {note}", "zips")


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
    return case_of(argv, note, "shards")


@family(12)
def synthetic_folder(rng: random.Random, folder: Path) -> Case:
    out = copied("synthetic", folder)
    if rng.random() < 0.4:
        parts = out / "parts"
        parts.mkdir()
        record = json.loads((out / "people.jsonl").read_text().splitlines()[0])
        text, note = spoiled_json(rng, record)
        (parts / "000000.json").write_bytes(text)
        name = "000000.json"
    else:
        file = out / rng.choice(("people.jsonl", "synthesis.json"))
        note, name = spoil_json_file(rng, file), file.name
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
    return case_of([*argv, "--out", "synthetic"], note, name, "synthetic", programs=("python",))


@family(3)
def prepared_folder(rng: random.Random, folder: Path) -> Case:
    out = copied("prepared", folder)
    (folder / "photos").mkdir()
    (out / ".prepare").mkdir(exist_ok=True)
    log = out / ".prepare" / "journal.jsonl"
    if not log.exists():
        shutil.copy(out / "prepare.jsonl", log)
    (folder / "victim.png").write_bytes(b"x")
    started_with_masks(out, "cutouts")
    file = rng.choice((log, log, out / "prepare.json", out / "images" / "dataset.json"))
    note = spoil_json_file(rng, file)
    (folder / "photos" / "notes.png").write_bytes(b"no photo")
    (folder / "poses.csv").write_text("file,yaw_deg,pitch_deg,roll_deg,box\nnotes.png,0,0,0,1 1 9 9\n")
    (folder / "cutouts").mkdir()
    (folder / "cutouts" / "notes.png").write_bytes(png_of(16, 16))
    argv = ["prepare", "photos", "--out", "prepared", "--size", "64", "--workers", "1", "--poses", "poses.csv"]
    argv += ["--masks", "cutouts"]  # without the models that the machine may lack
    return case_of(argv, note, file.name, "prepared", victims=("victim.png",))
