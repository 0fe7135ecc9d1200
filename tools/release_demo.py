"""Turn a snapshot of a run into the bundled demo model.

``python tools/release_demo.py RUN/snapshots/kimg-000034.0.safetensors --about "One sentence."`` writes
``src/panohead/assets/demo.safetensors`` (float16, with the run's configuration and figures) and prints its size. The
model card beside it, ``demo.md``, is written by hand.
"""

import argparse
from pathlib import Path

from panohead.checkpoint import load_checkpoint, save_checkpoint

ASSET = Path(__file__).parents[1] / "src" / "panohead" / "assets" / "demo.safetensors"
MAX_BYTES = 25_000_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("snapshot", type=Path)
    parser.add_argument("--about", required=True, help="sentence about the model on the demo's page")
    arguments = parser.parse_args()
    snapshot = load_checkpoint(arguments.snapshot)
    notes = {**snapshot.notes, "about": arguments.about}
    digest = save_checkpoint(ASSET, {"G_ema": snapshot.generator()}, kimg=snapshot.kimg, notes=notes, dtype="float16")
    size = ASSET.stat().st_size
    if size > MAX_BYTES:
        raise SystemExit(f"{ASSET} has {size:,} bytes, more than {MAX_BYTES:,}")
    print(f"wrote {ASSET}: {snapshot.kimg:g} kimg, {size:,} bytes, sha256 {digest}")


if __name__ == "__main__":
    main()
