"""Speed and memory of ``panohead prepare``: photos/s, and RSS of all its processes, which should stay flat.

    python benchmarks/prepare.py DATASET WORK [--photos 2000] [--workers 2] [--side 1024]

Heads of a prepared dataset are enlarged and pasted on noise, one per photo, as JPEG. The first quarter of the run is
left out of the memory's slope: models and caches fill then. Linux only (/proc). Private memory, summed over the tree of
processes, counts pages that they share once, which plain RSS does not.
"""

import argparse
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

_PERIOD_S = 2.0
"""Seconds between two measurements."""
_SUFFIXES = {".png", ".jpg", ".webp"}


@dataclass(frozen=True)
class Sample:
    """One measurement during a run.

    Attributes:
        photos: photos finished.
        main_mb, children_mb: resident memory of the main process and of its children, MiB.
        private_mb: private memory of all of them, MiB.
    """

    photos: int
    main_mb: float
    children_mb: float
    private_mb: float


def make_photos(dataset: Path, folder: Path, count: int, side: int) -> None:
    """Write ``count`` photos with one head each, scaled and placed at random (seed: the photo's number)."""
    heads = sorted(path for path in (dataset / "images").rglob("*") if path.suffix in _SUFFIXES)
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        target = folder / f"{number:05d}.jpg"
        if target.exists():
            continue
        rng = np.random.default_rng(number)
        noise = Image.fromarray(rng.integers(0, 256, (side // 16, side // 16, 3), dtype=np.uint8))
        photo = noise.resize((side, side), Image.Resampling.BICUBIC)
        with Image.open(heads[number * 7919 % len(heads)]) as image:
            size = int(side * rng.uniform(0.4, 0.7))
            head = image.convert("RGB").resize((size, size), Image.Resampling.LANCZOS)
        photo.paste(head, tuple(int(v) for v in rng.integers(0, side - size, 2)))
        photo.save(target, quality=92)


def descendants(process: int) -> Iterator[int]:
    """Yield all processes below one."""
    try:
        tasks = list(Path(f"/proc/{process}/task").iterdir())
        children = [int(child) for task in tasks for child in (task / "children").read_text().split()]
    except OSError:
        return
    for child in children:
        yield child
        yield from descendants(child)


def megabytes(process: int) -> tuple[float, float]:
    """Return resident and private memory in MiB; zeros for a process that is gone."""
    try:
        lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0, 0.0
    values = {line.split(":")[0]: int(line.split()[1]) for line in lines if line.endswith("kB")}
    return values["Rss"] / 1024, (values["Private_Clean"] + values["Private_Dirty"]) / 1024


def sample(main: int, log: Path) -> Sample:
    """Measure memory and progress now."""
    photos = log.read_bytes().count(b"\n") if log.exists() else 0
    resident, private = megabytes(main)
    below = [megabytes(child) for child in descendants(main)]
    return Sample(photos, resident, sum(one[0] for one in below), private + sum(one[1] for one in below))


def watch(command: list[str], out: Path) -> tuple[list[Sample], float]:
    """Run the command to its end; return samples and the seconds from the first finished photo to the last."""
    process = subprocess.Popen(command)
    samples: list[Sample] = []
    start = end = 0.0
    while process.poll() is None:
        now = sample(process.pid, out / ".prepare" / "journal.jsonl")
        if now.photos and not start:
            start = time.monotonic()
        if not samples or now.photos > samples[-1].photos:
            end = time.monotonic()
            samples.append(now)
        time.sleep(_PERIOD_S)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
    return samples, end - start


def report(samples: list[Sample], seconds: float) -> None:
    """Print the table."""
    total, first = samples[-1].photos, samples[0].photos
    # At the very end the workers are gone while the index is written.
    samples = [s for s in samples if s.children_mb > 0.5 * max(one.children_mb for one in samples)]
    print(f"{total} photos, {(total - first) / max(seconds, 1e-9):.2f} photos/s")
    print("| photos done | main RSS | children RSS | private, all |\n|---|---|---|---|")
    for share in (0.1, 0.25, 0.5, 0.75, 1.0):
        one = min(samples, key=lambda s: abs(s.photos - share * total))
        print(f"| {one.photos} | {one.main_mb:.0f} MB | {one.children_mb:.0f} MB | {one.private_mb:.0f} MB |")
    settled = [s for s in samples if s.photos >= 0.25 * total]
    for name, values in (
        ("RSS", [s.main_mb + s.children_mb for s in settled]),
        ("private memory", [s.private_mb for s in settled]),
    ):
        slope = np.polyfit([s.photos for s in settled], values, 1)[0] * 1000 if len(settled) > 2 else float("nan")
        print(f"{name}: {slope:+.1f} MB per 1000 photos after the first quarter")


def main() -> None:
    """Make the photos (once), prepare them into a new folder, print the measurements."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--photos", type=int, default=2000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--side", type=int, default=1024)
    arguments = parser.parse_args()
    photos, out = arguments.work / "photos", arguments.work / "out"
    if out.exists():
        raise SystemExit(f"{out} exists; delete it or give another folder")
    make_photos(arguments.dataset, photos, arguments.photos, arguments.side)
    command = [sys.executable, "-m", "panohead.cli.main", "prepare", str(photos), "--out", str(out)]
    samples, seconds = watch([*command, "--workers", str(arguments.workers)], out)
    report(samples, seconds)


if __name__ == "__main__":
    main()
