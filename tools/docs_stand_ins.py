"""Files that stand for what readers of the pages bring: photos, runs, datasets, recordings; for check_docs.py."""

import json
import re
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def bring_all(folder: Path, texts: Sequence[str]) -> None:
    """Write what the steps of a page, given as texts, take for granted."""
    bring_photos(folder)
    bring_programs(folder)
    needed = "\n".join(texts)
    if "crop.png" in needed:
        bring_crop(folder)
    for name in ("heads-10k", "my-photos"):
        if f"--data {name}" in needed and f"--out {name}" not in needed:
            bring_dataset(folder / name)
    if "convert theirs" in needed:
        bring_other_dataset(folder)
    if re.search(r"panohead animate", needed):
        bring_recordings(folder)
    if "--video talk" in needed:
        bring_videos(folder)


def bring_photos(folder: Path) -> None:
    """Write photos under the names that pages use, and two finished runs."""
    from PIL import Image
    from skimage import data

    astronaut = Image.fromarray(data.astronaut())
    (folder / "photos").mkdir()
    (folder / "scans").mkdir()
    for name in ("me.jpg", "front.jpg", "left.jpg", "back.jpg", "portrait.jpg", "photos/one.jpg", "scans/two.png"):
        astronaut.save(folder / name)
    shutil.make_archive(str(folder / "more"), "zip", folder / "photos")
    model = ROOT / "src" / "panohead" / "assets" / "demo.safetensors"
    for run in ("a", "b"):
        (folder / "runs" / run).mkdir(parents=True)
        shutil.copy(model, folder / "runs" / run / "final.safetensors")


def bring_programs(folder: Path) -> None:
    """Write programs named as in the pages."""
    programs = folder / ".programs"
    programs.mkdir()
    for name, call in (("panohead", "-m panohead.cli.main"), ("python", "")):
        script = programs / name
        script.write_text(f'#!/bin/sh\nexec "{sys.executable}" {call} "$@"\n')
        script.chmod(0o755)


def bring_dataset(out: Path) -> None:
    """Render a small dataset under the name of one that the pages make, or that the reader has."""
    from panohead.synthetic.config import SyntheticDatasetConfig
    from panohead.synthetic.synthesize import synthesize

    settings = {"people": 3, "views": 8, "resolution": 64, "seed": 1, "depth": True, "out": out}
    for _ in synthesize(SyntheticDatasetConfig.of_edition(1, **settings)):
        pass


def bring_crop(folder: Path) -> None:
    """Write an aligned crop of a generated head with its label and mask."""
    from panohead import Camera, load
    from panohead.media import mask_to_pil, save_image

    camera = Camera.orbit(20)
    frame = load("demo").sample(3).render(camera)
    save_image(frame.image, folder / "crop.png")
    (folder / "masks").mkdir()
    save_image(mask_to_pil(frame.alpha()), folder / "masks" / "crop.png")
    labels = {"labels": [["crop.png", camera.to_label().tolist()]]}
    (folder / "dataset.json").write_text(json.dumps(labels))


def bring_other_dataset(folder: Path) -> None:
    """Write a dataset whose labels have OpenGL's axes, a world with z up, and intrinsics in pixels; also a file
    of labels from world to camera."""
    import numpy as np

    from panohead.cli.synthesize import image_options
    from panohead.synthetic.config import SyntheticDatasetConfig
    from panohead.synthetic.synthesize import synthesize

    out = folder / "theirs"
    for _ in synthesize(SyntheticDatasetConfig(people=1, views=4, resolution=64, out=out), 1, image_options("webp")):
        pass
    file = out / "images" / "dataset.json"
    z_up = np.array([[1, 0, 0, 0], [0, 0, -1, 0], [0, 1, 0, 0], [0, 0, 0, 1]])
    labels, inverse = [], []
    for name, label in json.loads(file.read_text())["labels"]:
        numbers = np.array(label)
        pose = z_up @ numbers[:16].reshape(4, 4) @ np.diag([1, -1, -1, 1])
        intrinsics = np.diag([64, 64, 1]) @ numbers[16:].reshape(3, 3)
        labels.append([name, [*pose.flatten().tolist(), *intrinsics.flatten().tolist()]])
        world2cam = np.linalg.inv(numbers[:16].reshape(4, 4))
        inverse.append([name, [*world2cam.flatten().tolist(), *numbers[16:].tolist()]])
    file.write_text(json.dumps({"labels": labels}))
    (folder / "labels.json").write_text(json.dumps({"labels": inverse}))


def bring_recordings(folder: Path) -> None:
    """Write four frames of ARKit weights in both formats that pages name, as a telephone would record them."""
    rows = [f"10:59:00:{k:02d}.000,61,{0.1 * k:g},{0.2 * k:g},{0.05 * k:g},0,0" for k in range(4)]
    header = "Timecode,BlendshapeCount,EyeBlinkLeft,JawOpen,HeadYaw,HeadPitch,HeadRoll"
    (folder / "take.csv").write_text("\n".join([header, *rows]) + "\n")
    frames = [{"jawOpen": 0.2 * k} for k in range(4)]
    (folder / "weights.json").write_text(json.dumps({"fps": 30, "frames": frames}))


def bring_videos(folder: Path) -> None:
    """Write a second of a face that moves aside, in both formats that pages name."""
    import numpy as np
    from skimage import data

    from panohead.media import VideoWriter

    with VideoWriter(folder / "talk.mp4", 10, source=None) as video:
        for k in range(10):
            video.write(np.roll(data.astronaut(), k, axis=1))
    shutil.copy(folder / "talk.mp4", folder / "talk.mov")
