"""A folder of photos to a training set: aligned crops, cameras, masks (stage 1 of the paper's two-stage alignment).

Run:     python examples/04_align_photos.py [OUT] [PHOTOS]
Writes:  OUT/aligned/images (with dataset.json), OUT/aligned/masks, OUT/aligned/prepare.jsonl

Needs the extra "face" (MediaPipe). Without PHOTOS it takes the photo of an astronaut that scikit-image brings along.
Stopped and started again, it continues where it was.
"""

import json
import sys
from pathlib import Path

import torch
from PIL import Image
from skimage import data

from panohead import Camera
from panohead.preparation import PrepareSettings, prepare


def main(out: Path, photos: Path | None) -> None:
    """Align the photos, then read the cameras back."""
    if photos is None:
        photos = out / "photos"
        photos.mkdir(parents=True, exist_ok=True)
        Image.fromarray(data.astronaut()).save(photos / "astronaut.png")
    summary = prepare([str(photos)], PrepareSettings(out=out / "aligned", size=256), workers=1)
    print(f"{summary.accepted} crops of {summary.photos} photos; left out: {summary.reasons}")
    labels = json.loads((out / "aligned" / "images" / "dataset.json").read_text())["labels"]
    for name, label in labels:  # 25 numbers: 4x4 cam2world, 3x3 intrinsics, row by row
        yaw, pitch, roll = Camera.from_label(torch.tensor([float(n) for n in label])).angles_deg().tolist()
        print(f"{name}: yaw {yaw:.0f}, pitch {pitch:.0f}, roll {roll:.0f} degrees")


if __name__ == "__main__":  # photos are read in processes of their own, which import this file again
    arguments = [Path(argument) for argument in sys.argv[1:]]
    main(arguments[0] if arguments else Path("out"), arguments[1] if len(arguments) > 1 else None)
