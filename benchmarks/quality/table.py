"""The project's own quality table: generators side by side, next to the real-data baseline.

    python benchmarks/quality/table.py DATASET [--checkpoints demo no_mask=runs/a/final.safetensors] [--num 2000]

Writes metrics.json and table.md to benchmarks/quality/results (or --out), by ``panohead evaluate`` with the settings of
the project's tables; metrics whose optional packages or weights are missing are left out and named below the table.
NAME=FILE names a column; the photos' own column is the baseline. Reconstruction, which takes minutes per person on two
cores, is measured with --people. Explanation of the rows: docs/evaluation.md.
"""

import argparse
import sys
from pathlib import Path

from panohead.cli.main import main as panohead
from panohead.evaluation.settings import METRICS

HERE = Path(__file__).parent


def main() -> int:
    """Run ``panohead evaluate`` with these settings."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--checkpoints", nargs="+", default=["demo"])
    parser.add_argument("--num", type=int, default=2000)
    parser.add_argument("--heads", type=int, default=32)
    parser.add_argument("--people", type=int, default=0, help="people to reconstruct; 0 leaves reconstruction out")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--inception-weights", type=Path)
    parser.add_argument("--out", type=Path, default=HERE / "results")
    options = parser.parse_args()
    command = ["evaluate", "--checkpoint", *options.checkpoints, "--data", str(options.data), "--metrics"]
    command += [name for name in METRICS if name != "reconstruction" or options.people]
    command += ["--people", str(options.people)] if options.people else []
    command += ["--num", str(options.num), "--heads", str(options.heads), "--seed", str(options.seed)]
    command += ["--device", options.device, "--out", str(options.out)]
    if options.inception_weights is not None:
        command += ["--inception-weights", str(options.inception_weights)]
    return panohead(command)


if __name__ == "__main__":
    sys.exit(main())
