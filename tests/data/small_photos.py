"""Datasets of a few tiny random photos."""

import json
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

from panohead.geometry.camera import Camera


def photo_name(number: int) -> str:
    return f"{number // 4:05d}/{number:03d}.png"


def write_photos(root: Path, count: int = 12, side: int = 16, seed: int = 0) -> Path:
    """Folders ``images`` and ``masks``; the cameras go once around the head, so that a third or so are of the back."""
    source = np.random.default_rng(seed)
    labels = []
    for number in range(count):
        for folder, shape in (("images", (side, side, 3)), ("masks", (side, side))):
            path = root / folder / photo_name(number)
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(source.integers(0, 256, shape, dtype=np.uint8)).save(path)
        camera = Camera.orbit(yaw_deg=360 * number / count - 170, pitch_deg=float(source.uniform(-20, 20)))
        labels.append([photo_name(number), camera.to_label().tolist()])
    (root / "images" / "dataset.json").write_text(json.dumps({"labels": labels}))
    return root


def zipped(root: Path, name: str) -> Path:
    """The folder ``name`` as a zip archive beside it."""
    with zipfile.ZipFile(root / f"{name}.zip", "w") as archive:
        for path in sorted((root / name).rglob("*.*")):
            archive.write(path, path.relative_to(root / name).as_posix())
    return root / f"{name}.zip"


def spoil(root: Path, *numbers: int) -> None:
    """Make images unreadable."""
    for number in numbers:
        (root / "images" / photo_name(number)).write_bytes(b"no image")
