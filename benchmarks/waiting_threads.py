"""Do threads that sleep while they wait help? ``panohead reconstruct`` with OpenMP's default and with ours.

    python benchmarks/waiting_threads.py --repeats 5

The policy is read when torch is loaded, so every measurement is a process of its own, the two kinds in turn; alone, and
beside a process that keeps one core busy. Seconds on the clock.
"""

import argparse
import os
import subprocess
import sys
from statistics import median

from rows import Row, write_rows

_WORK = """
import time
from panohead import Camera, load
from panohead.inversion import FastConfig
from panohead.media.images import to_uint8
predictor = load("demo")
crop = to_uint8(predictor.sample(1, truncation_psi=0.7).render(Camera.orbit(10)).image)
begin = time.perf_counter()
steps = {steps}
config = FastConfig(coarse_steps=steps, fine_steps=steps, tuning_steps=steps)
predictor.reconstruct([crop], [Camera.orbit(10)], config=config)
print(time.perf_counter() - begin)
"""
_POLICIES = {"default": None, "passive": "PASSIVE"}


def seconds(policy: str | None, steps: int) -> float:
    """Return the time of a short reconstruction in a process of its own."""
    environment = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    if policy is not None:
        environment["OMP_WAIT_POLICY"] = policy
    done = subprocess.run(
        [sys.executable, "-c", _WORK.format(steps=steps)], env=environment, capture_output=True, text=True, check=True
    )
    return float(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--steps", type=int, default=10, help="steps of every phase")
    parser.add_argument("--json")
    options = parser.parse_args()
    found = []
    for beside in ("alone", "beside a busy process"):
        busy = subprocess.Popen([sys.executable, "-c", "while True: pass"]) if beside != "alone" else None
        try:
            rows = [
                {name: seconds(policy, options.steps) for name, policy in _POLICIES.items()}
                for _ in range(options.repeats)
            ]
        finally:
            if busy is not None:
                busy.kill()
                busy.wait()
        medians = ", ".join(f"{name} {median(row[name] for row in rows):.1f} s" for name in _POLICIES)
        ratio = median(row["default"] / row["passive"] for row in rows)
        print(f"{beside}: {medians}; default / passive {ratio:.2f}")
        found.append(
            Row(f"short reconstruction, {beside}", "s", {name: [row[name] for row in rows] for name in _POLICIES})
        )
    if options.json:
        write_rows(options.json, found)


if __name__ == "__main__":
    main()
