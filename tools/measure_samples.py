"""Measure what a demo model's samples look like: faces in front, none behind, eyes.

    python tools/measure_samples.py [CHECKPOINT] --held-out RUN/heldout --heads 512 --json samples.json

Faces and eyes by MediaPipe's face mesh (the extra ``face``), at four times the size of the images. An eye is open where
its height is at least a tenth of its width, and has a visible iris where the landmarks' iris is darker than the white
beside it by 4 % of the range. The same figures of the held-out people's true images stand beside them. Distances of
sets of images are those of ``panohead evaluate --metrics swd``.

The network that knows heads (``panohead.perceptual.head_parts``) says it again without MediaPipe: the share of front
views with both eyes open, and the spread of each attribute that it predicts from front views, divided by that of its
predictions for the held-out people (1: as diverse as people; predictions vary less than what is predicted, in both).
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mediapipe  # type: ignore[import-untyped]
import numpy as np
import torch
import tyro
from PIL import Image

from panohead import Camera, load
from panohead.attributes.vocabulary import standard_vocabulary
from panohead.perceptual import HeadParts, load_head_parts
from panohead.perceptual.head_measures import open_eyes
from panohead.predictor import Predictor
from panohead.training.attribute_fit.dataset import GrowingDataset
from panohead.training.attribute_fit.images import on_white

_EYES = (
    # outer corner, inner corner, upper lid, lower lid, iris (center, then its four sides)
    (33, 133, 159, 145, (468, 469, 470, 471, 472)),
    (263, 362, 386, 374, (473, 474, 475, 476, 477)),
)
_OPEN, _IRIS = 0.1, 0.04


@dataclass
class Options:
    """What is measured."""

    held_out: Path
    """Dataset of people who were not in the training."""
    checkpoint: tyro.conf.Positional[str] = "demo"
    """Checkpoint."""
    heads: int = 512
    """Number of samples."""
    truncation: float = 0.7
    """Truncation of the samples."""
    seed: int = 100_000
    """First seed."""
    head_parts: Path | None = None
    """Network that knows heads; the bundled one if not given."""
    json: Path | None = None
    """File for the figures."""


def eyes_of(image: np.ndarray, mesh: Any) -> list[tuple[bool, bool]] | None:
    """Return (open, iris visible) of both eyes of an image [0, 255]; None where no face is found."""
    found = mesh.process(image)
    if not found.multi_face_landmarks:
        return None
    side = image.shape[0]
    points = np.array([[p.x, p.y] for p in found.multi_face_landmarks[0].landmark]) * side
    gray = image.astype(np.float32).mean(-1) / 255

    def brightness(at: np.ndarray) -> float:
        x, y = np.clip(at.round().astype(int), 2, side - 3)
        return float(gray[y - 2 : y + 3, x - 2 : x + 3].mean())

    eyes = []
    for outer, inner, upper, lower, iris in _EYES:
        width = float(np.linalg.norm(points[outer] - points[inner]))
        height = float(np.linalg.norm(points[upper] - points[lower]))
        center = points[list(iris)].mean(0)
        # Halfway between the iris and the corners: the white.
        white = max(brightness((center + points[corner]) / 2) for corner in (outer, inner))
        eyes.append((height >= _OPEN * width, white - brightness(center) >= _IRIS))
    return eyes


def enlarged(image: torch.Tensor) -> np.ndarray:
    """Return an image [-1, 1] as bytes at four times its size."""
    array = ((image.clamp(-1, 1).permute(1, 2, 0) + 1) * 127.5).round().byte().numpy()
    small = Image.fromarray(array)
    return np.asarray(small.resize((4 * small.width, 4 * small.height), Image.Resampling.BICUBIC))


def faces(images: list[torch.Tensor]) -> dict[str, float]:
    """Return shares: faces found, and of these both eyes open, and with visible irises."""
    with mediapipe.solutions.face_mesh.FaceMesh(static_image_mode=True, max_num_faces=1, refine_landmarks=True) as mesh:
        eyes = [eyes_of(enlarged(image), mesh) for image in images]
    found = [pair for pair in eyes if pair is not None]
    return {
        "images": len(images),
        "found": len(found) / max(len(images), 1),
        "eyes open": float(np.mean([all(opened for opened, _ in pair) for pair in found])) if found else 0.0,
        "irises": float(np.mean([all(seen for _, seen in pair) for pair in found])) if found else 0.0,
    }


@torch.no_grad()
def read_fronts(network: HeadParts, images: list[torch.Tensor]) -> dict[str, Any]:
    """Return the share of images with both eyes open, and the deviation of every predicted number."""
    eyes, numbers = [], []
    for first in range(0, len(images), 32):
        reading = network(torch.stack(images[first : first + 32]).clamp(-1, 1))
        eyes.append(open_eyes(reading, network.config))
        numbers.append(reading.numbers)
    deviation = torch.cat(numbers).std(dim=0).tolist()
    return {
        "eyes open": float(torch.cat(eyes).float().mean()),
        "deviation": dict(zip(network.config.numbers, deviation, strict=True)),
    }


def spread(samples: dict[str, Any], people: dict[str, Any]) -> dict[str, float]:
    """Return the deviations of samples divided by those of people."""
    return {name: value / max(people["deviation"][name], 1e-9) for name, value in samples["deviation"].items()}


def yaw_of(label: torch.Tensor) -> float:
    """Yaw of a label's camera, degrees."""
    return float(torch.rad2deg(torch.atan2(label[3], label[11])))


def true_images(folder: Path) -> list[tuple[float, torch.Tensor]]:
    """Return the distance of the yaw from the front (degrees) and the image [-1, 1] over white of all views."""
    data = GrowingDataset(folder, standard_vocabulary()).refresh()
    masks = data.masks[:, None].float() / 255
    images = on_white(data.images.float() / 127.5 - 1, masks)
    return [(abs(yaw_of(label)), image) for label, image in zip(data.labels, images, strict=True)]


def sampled(predictor: Predictor, options: Options, network: HeadParts) -> dict[str, Any]:
    """Render samples from the front and from behind, seek faces, and read the fronts."""
    front, back = [], []
    for number in range(options.heads):
        head = predictor.sample(options.seed + number, truncation_psi=options.truncation)
        front.append(head.render(Camera.orbit(0)).image)
        back.append(head.render(Camera.orbit(180)).image)
        if (number + 1) % 64 == 0:
            print(f"{number + 1} of {options.heads} heads", flush=True)
    return {"front": faces(front), "back": faces(back), "read": read_fronts(network, front)}


@torch.no_grad()
def main(options: Options) -> None:
    """Measure and print as JSON."""
    predictor, network = load(options.checkpoint), load_head_parts(options.head_parts)
    views = true_images(options.held_out)
    truth = {
        "front": faces([image for yaw, image in views if yaw < 20]),
        "back": faces([image for yaw, image in views if yaw > 150]),
        "read": read_fronts(network, [image for yaw, image in views if yaw < 20]),
    }
    samples = sampled(predictor, options, network)
    result = {
        "checkpoint": predictor.sha256,
        "samples": samples,
        "held-out people": truth,
        "spread": spread(samples["read"], truth["read"]),
    }
    print(json.dumps(result, indent=1))
    if options.json is not None:
        options.json.write_text(json.dumps(result, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
