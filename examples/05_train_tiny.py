"""Render a small synthetic dataset and train the smallest model with every part of the method on it.

Run:     python examples/05_train_tiny.py [OUT] [PEOPLE] [KIMG]
Writes:  OUT/people (dataset), OUT/run (config, statistics, snapshots, states, report.html), OUT/trained.png

The defaults show that it runs; a model worth looking at takes under two hours on a CPU (preset demo_64, warm-started).
OUT/run must be new; ``panohead train --resume OUT/run`` continues a run, bit for bit on a CPU.
"""

import json
import sys
from dataclasses import replace
from pathlib import Path

from panohead import Camera, load
from panohead.media import save_image
from panohead.presets import tiny
from panohead.synthetic import SyntheticDatasetConfig
from panohead.synthetic.synthesize import synthesize
from panohead.training import train

out = Path(sys.argv[1] if len(sys.argv) > 1 else "out")
people = int(sys.argv[2]) if len(sys.argv) > 2 else 4
kimg = float(sys.argv[3]) if len(sys.argv) > 3 else 0.04  # thousands of images shown to the discriminator

for done in synthesize(SyntheticDatasetConfig(people=people, views=8, resolution=32, out=out / "people")):
    print(f"{done} of {people} people rendered")

config = replace(tiny(), total_kimg=kimg, metric_images=16)  # a frozen dataclass; every number has a default
train(config, out / "people", out / "run", device="cpu", quiet=True)

last = json.loads((out / "run" / "stats.jsonl").read_text().splitlines()[-1])
print(
    {name: round(last[name], 3) for name in ("kimg", "loss_generator", "loss_fake", "loss_real", "sliced_wasserstein")}
)
snapshot = max((out / "run" / "snapshots").glob("*.safetensors"))
save_image(load(snapshot).sample(seed=0).render(Camera.orbit()).image, out / "trained.png")
