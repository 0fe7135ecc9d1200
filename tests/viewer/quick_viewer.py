"""The viewer with the bundled model, whose reconstructions take seconds: a program that prints its address."""

import functools
import sys
import time
from pathlib import Path

from panohead import load
from panohead.inversion import FastConfig
from panohead.viewer import photo_panel
from panohead.viewer.head_viewer import HeadViewer

short = FastConfig(starts=2, coarse_steps=2, fine_steps=1, tuning_steps=2, w_samples=64)
photo_panel.reconstruct_photo = functools.partial(photo_panel.reconstruct_photo, config=short)  # type: ignore[assignment]
with HeadViewer(load("demo"), port=0, library=Path(sys.argv[1])) as viewer:
    print(viewer.url, flush=True)
    while True:
        time.sleep(3600)
