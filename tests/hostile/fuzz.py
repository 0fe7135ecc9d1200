"""Fuzzing of the readers in one process: hypothesis damages valid files, and only PanoHeadError may come out."""

import io
import json
import os
import random
import resource
import shutil
import signal
import sys
import tarfile
import time
import traceback
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from hostile.spoil import spoiled_bytes, spoiled_json, spoiled_safetensors, spoiled_zip, with_metadata, zipped

STORED = Path(__file__).parents[1] / "stored"
MAX_SECONDS = 20
"""Seconds of a processor for one input."""
MAX_WAIT = 300
"""Seconds of the clock for one input; other work on the machine may slow it down."""
MAX_BYTES = 1 << 30
Reader = Callable[[Path], object]


@cache
def preload() -> None:
    """Import what the readers use, once for all children, and use every reader once on valid files."""
    from tempfile import TemporaryDirectory

    for target, (_, _, _, reader) in TARGETS.items():
        with TemporaryDirectory() as temporary:
            folder = Path(temporary) / "valid"
            valid_folder(target, folder)
            try:
                reader(folder)
            except Exception as error:
                if target != "pickle":  # its valid file is the smallest one, which lacks most of a network
                    raise RuntimeError(f"the valid files of {target} are refused") from error


@cache
def generator() -> Any:
    """Return the tiny generator that the stored files belong to."""
    from panohead.checkpoint import load_checkpoint

    return load_checkpoint(STORED / "tiny.safetensors").generator()


def read_pickle(folder: Path) -> object:
    from panohead.interop.official import load_networks

    return load_networks(folder / "network.pkl")


def read_checkpoint(folder: Path) -> object:
    from panohead.checkpoint import load_checkpoint

    return load_checkpoint(folder / "tiny.safetensors")


def read_difference(folder: Path) -> object:
    from panohead.inversion.output_folder import open_output_folder
    from panohead.inversion.weight_delta import load_difference

    open_output_folder(folder, [STORED / "photo" / "me.png"])
    return load_difference(folder / "tuned.difference.safetensors", generator())


def read_latent(folder: Path) -> object:
    from panohead.inversion import open_reconstruction

    return open_reconstruction(folder, generator())


def read_shards(folder: Path) -> object:
    from panohead.data.labels import read_labels
    from panohead.data.shards import open_shards

    photos, masks = open_shards(folder)
    for source in (photos, masks):
        for name in source.names():
            source.read(name)
    return read_labels(photos, photos.names())


def read_archive(folder: Path) -> object:
    from panohead.data.tools.dataset import inspect_dataset

    return inspect_dataset(folder)


def read_pose_file(folder: Path) -> object:
    from panohead.alignment.pose_file import read_poses

    return read_poses(folder / "poses.csv")


def read_label_file(folder: Path) -> object:
    from panohead.data.labels import read_labels
    from panohead.data.sources import image_names, open_source

    source = open_source(folder / "images")
    return read_labels(source, image_names(source))


def read_people_file(folder: Path) -> object:
    from panohead.data.people import read_people
    from panohead.training.warm_start.multiview import _people

    return list(read_people(folder / "people.jsonl")), _people(folder / "people.jsonl")


def read_run_folder(folder: Path) -> object:
    from panohead.training.run.folder import read_run

    return read_run(folder)


def read_run_records(folder: Path) -> object:
    from panohead.training.run.records import read_records, repair_records
    from panohead.training.run.report import charts_of

    charts = charts_of(read_records(folder / "stats.jsonl"))
    return charts, repair_records(folder / "stats.jsonl", last_nimg=8)


def read_run_state(folder: Path) -> object:
    from panohead.training.run.checkpoint import load_latest_state

    return load_latest_state(folder)


def read_resume_file(folder: Path) -> object:
    from panohead.inversion.optimization.resume_file import ResumeFile

    return ResumeFile(folder / "reconstruct.state", resume=True).read(stored_identity())


@cache
def stored_identity() -> str:
    """Return the identity in the stored state, so that damage behind it is reached."""
    import torch

    identity: str = torch.load(STORED / "interrupted" / "reconstruct.state", weights_only=True)["identity"]
    return identity


def read_synthetic(folder: Path) -> object:
    from panohead.synthetic.config import SyntheticDatasetConfig
    from panohead.synthetic.layout_writer import edition_of, open_dataset

    edition = edition_of(folder)
    sizes = {"people": 2, "views": 2, "resolution": 32, "seed": 5, "depth": True}
    return open_dataset(SyntheticDatasetConfig.of_edition(edition, out=folder, **sizes))


def read_prepared(folder: Path) -> object:
    from panohead.preparation.files import ResumeLog, open_out
    from panohead.preparation.settings import PrepareSettings

    open_out(folder, PrepareSettings(out=folder, size=64).resume_key())
    return ResumeLog(folder).records


# Name: the folder of valid files, the file that is damaged, how, and the reader.
_JSON, _LINES, _BYTES, _TENSORS, _ZIP, _STATE = "json", "json lines", "bytes", "safetensors", "zip", "state"
TARGETS: dict[str, tuple[str, str, str, Reader]] = {
    "pickle": ("", "network.pkl", _BYTES, read_pickle),
    "checkpoint": ("tiny", "tiny.safetensors", _TENSORS, read_checkpoint),
    "difference": ("reconstruction", "tuned.difference.safetensors", _TENSORS, read_difference),
    "latent": ("reconstruction", "latent.npz", _BYTES, read_latent),
    "tar": ("shards", "photos.tar", _BYTES, read_shards),
    "zip": ("zips", "images.zip", _ZIP, read_archive),
    "poses": ("", "poses.csv", _BYTES, read_pose_file),
    "dataset.json": ("synthetic", "images/dataset.json", _JSON, read_label_file),
    "people.jsonl": ("synthetic", "people.jsonl", _LINES, read_people_file),
    "config.json": ("run", "config.json", _JSON, read_run_folder),
    "stats.jsonl": ("run", "stats.jsonl", _LINES, read_run_records),
    "run state": ("run", "states/state-000000000016.pt", _STATE, read_run_state),
    "resume file": ("interrupted", "reconstruct.state", _BYTES, read_resume_file),
    "synthesis.json": ("synthetic", "synthesis.json", _JSON, read_synthetic),
    "people of a dataset": ("synthetic", "people.jsonl", _LINES, read_synthetic),
    "prepare.json": ("prepared", "prepare.json", _JSON, read_prepared),
    "journal": ("prepared", ".prepare/journal.jsonl", _LINES, read_prepared),
}


def valid_folder(target: str, folder: Path) -> bytes:
    """Fill a folder with valid files and return the content of the one to damage."""
    source, name, _, _ = TARGETS[target]
    synthetic = STORED / "synthetic"
    if source == "tiny":
        folder.mkdir()
        shutil.copy(STORED / "tiny.safetensors", folder)
    elif source in ("shards", "zips"):
        folder.mkdir()
        _pack(source, synthetic, folder)
    elif source:
        shutil.copytree(STORED / source, folder)
    else:
        folder.mkdir()
    if name == "network.pkl":
        from interop import hostile

        (folder / name).write_bytes(hostile.checkpoint(value=hostile.tensor(), other=hostile.tensor()))
    if name == "poses.csv":
        (folder / name).write_text('file,yaw_deg,pitch_deg,roll_deg,box\n"a,b.png",10,-5,0,1 2 30 40\nc.png,180,0,0,\n')
    if name == ".prepare/journal.jsonl":
        (folder / ".prepare").mkdir(exist_ok=True)
        shutil.copy(folder / "prepare.jsonl", folder / name)
    return (folder / name).read_bytes()


def _pack(kind: str, synthetic: Path, folder: Path) -> None:
    if kind == "zips":
        for name in ("images", "masks"):
            members = {
                p.relative_to(synthetic / name).as_posix(): p.read_bytes() for p in (synthetic / name).rglob("*.*")
            }
            (folder / f"{name}.zip").write_bytes(zipped(members))
        return
    with tarfile.open(folder / "photos.tar", "w") as archive:
        for name, label in json.loads((synthetic / "images" / "dataset.json").read_text())["labels"]:
            key = name.removesuffix(".webp")
            image, mask = synthetic / "images" / name, synthetic / "masks" / f"{key}.png"
            contents = {".webp": image.read_bytes(), ".mask.png": mask.read_bytes()}
            for suffix, content in {**contents, ".json": json.dumps({"label": label}).encode()}.items():
                info = tarfile.TarInfo(f"{key}{suffix}")
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))


@st.composite
def damaged(draw: st.DrawFn, kind: str, content: bytes) -> bytes:
    """Draw a damaged content: by plain edits that hypothesis can shrink, or by a maker that knows the format."""
    rng = random.Random(draw(st.integers(0, 2**48)))
    if draw(st.booleans()):
        if kind == _JSON:
            return spoiled_json(rng, json.loads(content))[0]
        if kind == _LINES:
            lines = content.splitlines()
            at = rng.randrange(len(lines))
            lines[at] = spoiled_json(rng, json.loads(lines[at]))[0]
            return b"\n".join(lines) + b"\n"
        if kind == _TENSORS:
            return spoiled_tensors(rng, content)
        if kind == _ZIP:
            import zipfile

            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                return spoiled_zip(rng, {name: archive.read(name) for name in archive.namelist()})[0]
        return spoiled_bytes(rng, content)[0]
    result = bytearray(content)
    for place, piece in draw(st.lists(st.tuples(st.integers(0, len(content) - 1), st.binary(max_size=8)), max_size=4)):
        result[place : place + len(piece)] = piece
    end = draw(st.none() | st.integers(0, len(content)))
    changed = bytes(result[:end])
    return with_state_hash(changed) if kind == _STATE and draw(st.booleans()) else changed


def spoiled_tensors(rng: random.Random, content: bytes) -> bytes:
    """Return a safetensors file whose header, metadata or bytes are wrong."""
    if rng.random() < 0.5:
        return spoiled_safetensors(rng, content)[0]

    def change(metadata: dict[str, str]) -> None:
        key = rng.choice(list(metadata))
        try:
            value = json.loads(metadata[key])
        except ValueError:
            value = {"a": [1]}
        metadata[key] = spoiled_json(rng, value)[0].decode("utf-8", "replace")
        if rng.random() < 0.7:
            metadata.pop("metadata_sha256", None)

    return with_metadata(content, change)


def with_state_hash(content: bytes) -> bytes:
    """Return a state whose hash fits its damaged payload."""
    import hashlib

    payload = content[82:]
    return b"panohead-state-1 " + hashlib.sha256(payload).hexdigest().encode() + b"\n" + payload


class TooLong(Exception):
    """Raised by the alarm in an input that takes too long."""


def fuzz(target: str, folder: Path, count: int, start: int) -> dict[str, Any]:
    """Feed ``count`` damaged files to a reader.

    Returns:
        The number of inputs, and of faults by kind with an example of each.
    """
    from panohead.errors import PanoHeadError

    _, name, kind, reader = TARGETS[target]
    content = valid_folder(target, folder)
    path, faults, examples, inputs = folder / name, [], [], 0
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    def too_long(*_: object) -> None:
        raise TooLong

    signal.signal(signal.SIGALRM, too_long)
    signal.signal(signal.SIGPROF, too_long)

    def once(data: bytes) -> None:
        nonlocal inputs, before
        inputs += 1
        path.write_bytes(data)
        signal.alarm(MAX_WAIT)
        signal.setitimer(signal.ITIMER_PROF, MAX_SECONDS)
        fault, said = "", ""
        try:
            reader(folder)
        except PanoHeadError as error:
            fault = "" if error.args and str(error).strip() else "unnamed file"
        except TooLong:
            fault, said = "hang", traceback.format_exc()
        except Exception:
            fault, said = "traceback", traceback.format_exc()
        finally:
            signal.alarm(0)
            signal.setitimer(signal.ITIMER_PROF, 0)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        if peak - before > MAX_BYTES / 1024:
            fault, before = "memory", peak
        if fault:
            faults.append(fault)
            if len(examples) < 5:
                examples.append({"fault": fault, "said": said[-1500:], "data": data[:200].hex()})

    quiet = settings(
        max_examples=count, deadline=None, database=None, phases=[Phase.generate], print_blob=False,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    run = seed(start)(quiet(given(damaged(kind, content))(once)))
    run()
    return {"inputs": inputs, "faults": faults, "examples": examples}


def fuzz_in_child(target: str, folder: Path, count: int, start: int) -> dict[str, Any]:
    """Run :func:`fuzz` in a forked child with a bound of its memory; a lost child is a fault of all its inputs."""
    preload()
    answer = os.memfd_create("answer")
    began = time.monotonic()
    pid = os.fork()
    if not pid:
        try:
            resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, 2)
            found = fuzz(target, folder, count, start)
        except BaseException:
            found = {"inputs": 0, "faults": ["traceback"], "examples": [{"said": traceback.format_exc()[-2000:]}]}
        os.write(answer, json.dumps(found).encode())
        os._exit(0)
    _, status = os.waitpid(pid, 0)
    text = os.pread(answer, os.fstat(answer).st_size, 0)
    os.close(answer)
    found = json.loads(text) if text else {"inputs": 1, "faults": ["hang"], "examples": [{"said": f"status {status}"}]}
    return {**found, "seconds": round(time.monotonic() - began, 1)}


if __name__ == "__main__":
    from tempfile import TemporaryDirectory

    for one in sys.argv[2:] or TARGETS:
        with TemporaryDirectory() as temporary:
            print(one, json.dumps(fuzz_in_child(one, Path(temporary) / "x", int(sys.argv[1]), 0), indent=1)[:3000])
