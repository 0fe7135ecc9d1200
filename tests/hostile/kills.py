"""Kills at random moments: a command that is killed and run again must end with the bytes of an unbroken run."""

import hashlib
import json
import random
import shutil
from dataclasses import dataclass
from pathlib import Path

from hostile.families import HEADS, STORED, TINY
from hostile.runner import Case, CommandServer

_CLOCK = ("seconds", "images_per_second", "peak_memory_gb", "time_s")
"""Statistics of a run that no two runs share."""


@dataclass(frozen=True)
class Killed:
    """A command that survives kills.

    Attributes:
        argv: its arguments; it writes to ``out`` in the working folder.
        again: arguments that continue it.
    """

    argv: tuple[str, ...]
    again: tuple[str, ...]


_SYNTHESIZE = ("synthesize", "--people", "3", "--views", "2", "--resolution", "48", "--seed", "5", "--depth",
               "--workers", "1", "--out", "out")  # fmt: skip
_PREPARE = ("prepare", "photos", "--poses", "poses.csv", "--masks", "masks", "--size", "64", "--workers", "1",
            "--gates.min-core-px", "1", "--gates.min-sharpness", "0", "--gates.duplicate-bits=-1",
            "--out", "out")  # fmt: skip
_TRAIN = ("train", "--preset", "tiny", "--data", str(HEADS), "--device", "cpu", "--quiet", "--kimg", "0.024",
          "--out", "out", "--set", "tick_kimg=0.008", "state_ticks=1", "snapshot_ticks=1", "metric_ticks=0",
          "metric_images=4", "data.cache=memory", "generator.channel_base=64",
          "generator.channel_max=8", "discriminator.channel_base=128", "discriminator.channel_max=16")  # fmt: skip
_RESUME = ("train", "--resume", "out", "--device", "cpu", "--quiet")
_RECONSTRUCT = ("reconstruct", str(STORED / "photo" / "me.png"), "--aligned", "--checkpoint", str(TINY), "--steps", "6",
                "--tuning-steps", "24", "--seed", "3", "--frames", "1", "--mesh", "ply", "--mesh-resolution", "8",
                "--mesh-level", "2", "--out", "out")  # fmt: skip
COMMANDS = {
    "synthesize": Killed(_SYNTHESIZE, _SYNTHESIZE),
    "prepare": Killed(_PREPARE, _PREPARE),
    "train": Killed(_TRAIN, _RESUME),
    "reconstruct": Killed(_RECONSTRUCT, (*_RECONSTRUCT, "--resume")),
}


def make_inputs(name: str, folder: Path) -> None:
    """Make the inputs of a command in its working folder."""
    if name != "prepare":
        return
    from PIL import Image

    from drawn import drawn_photo

    (folder / "photos").mkdir()
    (folder / "masks").mkdir()
    rows = ["file,yaw_deg,pitch_deg,roll_deg,box"]
    for number in range(3):
        photo = drawn_photo(number + 1)[0]
        photo.save(folder / "photos" / f"p{number}.png")
        Image.new("L", photo.size, 255).save(folder / "masks" / f"p{number}.png")
        rows.append(f'p{number}.png,{30 * number},0,0,"80 60 240 250"')
    (folder / "poses.csv").write_text("\n".join(rows) + "\n")


def digest(name: str, out: Path) -> dict[str, str]:
    """Return a hash of everything that the command made, but for clocks, by name."""
    if name in ("synthesize", "prepare"):
        left_out = (".prepare", "report", "prepare.jsonl" if name == "prepare" else "")
        files = [p for p in sorted(out.rglob("*")) if p.is_file() and p.relative_to(out).parts[0] not in left_out]
        return {p.relative_to(out).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}
    if name == "train":
        return _run_digest(out)
    import numpy as np
    from safetensors.torch import load_file

    found = {}
    with np.load(out / "latent.npz") as arrays:
        for key in arrays.files:
            found[key] = hashlib.sha256(arrays[key].tobytes()).hexdigest()
    for key, tensor in load_file(out / "tuned.difference.safetensors").items():
        found[key] = hashlib.sha256(tensor.numpy().tobytes()).hexdigest()
    return found


def _run_digest(run: Path) -> dict[str, str]:
    from safetensors.torch import load_file

    found = {}
    rows = [json.loads(line) for line in (run / "stats.jsonl").read_text().splitlines()]
    for number, row in enumerate(rows):
        found[f"stats {number}"] = json.dumps({key: value for key, value in row.items() if key not in _CLOCK})
    for file in sorted((run / "snapshots").iterdir()):
        if file.suffix == ".safetensors":
            for key, tensor in load_file(file).items():
                found[f"{file.name} {key}"] = hashlib.sha256(tensor.numpy().tobytes()).hexdigest()
        else:
            found[file.name] = ""
    return found


def run_whole(server: CommandServer, name: str, folder: Path) -> tuple[dict[str, str], float]:
    """Run a command without a break; return the digest and the seconds that it took.

    Raises:
        RuntimeError: when it fails.
    """
    folder.mkdir(parents=True)
    make_inputs(name, folder)
    case = Case(f"kills of {name}", 0, COMMANDS[name].argv, folder, programs=("python",), patient=True)
    outcome = server.run(case)
    if outcome.code:
        raise RuntimeError(f"{name} failed: {outcome.stderr}")
    return digest(name, folder / "out"), outcome.seconds


def trial(
    server: CommandServer, name: str, folder: Path, rng: random.Random, whole: dict[str, str], seconds: float
) -> tuple[float, tuple[str, ...], str]:
    """Kill a command at a random moment, run it to its end and compare.

    Returns:
        The moment in seconds, faults, and what was said about them.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    make_inputs(name, folder)
    moment = rng.uniform(0, seconds)
    command = COMMANDS[name]
    base = Case(f"kills of {name}", 0, command.argv, folder, programs=("python",), patient=True, kill_after=moment)
    first = server.run(base)
    if first.code == 0:  # it was faster this time
        second = first
    else:
        started = (folder / "out" / "config.json").exists() if name == "train" else True
        again = command.again if started else command.argv
        second = server.run(Case(base.family, 0, again, folder, programs=("python",), patient=True))
    if second.code:
        return moment, ("wrong code",), second.stderr[-1500:]
    found = digest(name, folder / "out")
    different = sorted(key for key in {*found, *whole} if found.get(key) != whole.get(key))
    return moment, (("other bytes",) if different else ()), ", ".join(different[:8])
