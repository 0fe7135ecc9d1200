"""A dataset that knows which of its pictures show one person, held in memory as bytes."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from PIL import Image
from torch import Tensor

from panohead.errors import PanoHeadError

WHITE = 255.0


@dataclass(frozen=True)
class MultiViewData:
    """Pictures of people from several sides.

    Attributes:
        images: 0..255, the person on white.
        masks: 0..255, 255 for the person.
        labels: cameras (25 numbers each).
        person: index of the person shown, 0..people - 1.
        names: file names without suffix.
    """

    images: UInt8[Tensor, "view 3 height width"]
    masks: UInt8[Tensor, "view 1 height width"]
    labels: Float[Tensor, "view 25"]
    person: Int[Tensor, " view"]
    names: tuple[str, ...] = ()

    @property
    def people(self) -> int:
        """Number of people."""
        return int(self.person.max()) + 1

    def subset(self, keep: Int[Tensor, " kept"]) -> "MultiViewData":
        """Some of the views; people keep their numbers."""
        names = tuple(self.names[int(i)] for i in keep) if self.names else ()
        return MultiViewData(self.images[keep], self.masks[keep], self.labels[keep], self.person[keep], names)


def load_multiview(root: Path, resolution: int, people: int | None = None) -> MultiViewData:
    """Read ``images/dataset.json`` (official labels), ``masks/`` and ``people.jsonl`` of a dataset with people.

    Args:
        root: the dataset's folder.
        resolution: pixels per side to reduce the pictures to (box filter).
        people: take only the first so many people; None for all.

    Raises:
        PanoHeadError: when a file of the layout is missing.
    """
    labels_file, people_file = root / "images" / "dataset.json", root / "people.jsonl"
    for file in (labels_file, people_file):
        if not file.is_file():
            raise PanoHeadError(f"{file} is missing; a multi-view dataset has images/dataset.json and people.jsonl")
    person_of = _people(people_file)
    number = {person: i for i, person in enumerate(sorted(set(person_of.values()))[:people])}
    listed = json.loads(labels_file.read_text())["labels"]
    labels = {str(Path(name).with_suffix("")): (name, label) for name, label in listed}
    names = tuple(sorted(name for name in labels if person_of.get(name) in number))
    if not names:
        raise PanoHeadError(f"{labels_file} and {people_file} name no picture in common; check the dataset")

    images = np.empty((len(names), resolution, resolution, 3), np.uint8)
    masks = np.empty((len(names), resolution, resolution, 1), np.uint8)
    for i, name in enumerate(names):
        file = labels[name][0]
        images[i], masks[i] = _on_white(root / "images" / file, _mask_of(root / "masks" / file), resolution)
    return MultiViewData(
        torch.from_numpy(images).permute(0, 3, 1, 2).contiguous(),
        torch.from_numpy(masks).permute(0, 3, 1, 2).contiguous(),
        torch.tensor([labels[name][1] for name in names], dtype=torch.float32),
        torch.tensor([number[person_of[name]] for name in names]),
        names,
    )


def _people(file: Path) -> dict[str, int]:
    """Who is on which picture (name without suffix): a line a person with its "views", or a line a picture."""
    person_of: dict[str, int] = {}
    for line in file.read_text().splitlines():
        if line.strip():
            row = json.loads(line)
            shown = [view["image"] for view in row["views"]] if "views" in row else [row["name"]]
            person_of |= {str(Path(name).with_suffix("")): row["person"] for name in shown}
    return person_of


def _mask_of(named: Path) -> Path:
    return named if named.is_file() else named.with_suffix(".png")


def _on_white(image_file: Path, mask_file: Path, resolution: int) -> tuple[np.ndarray, np.ndarray]:
    if not mask_file.is_file():
        raise PanoHeadError(f"{mask_file} is missing; every picture needs a mask of the same name")
    image = np.asarray(Image.open(image_file).convert("RGB"), np.float32)
    mask = np.asarray(Image.open(mask_file).convert("L"), np.float32)[..., None] / WHITE
    composed = image * mask + WHITE * (1 - mask)
    size = (resolution, resolution)
    small = Image.fromarray(composed.round().astype(np.uint8)).resize(size, Image.Resampling.BOX)
    small_mask = Image.fromarray((mask[..., 0] * WHITE).round().astype(np.uint8)).resize(size, Image.Resampling.BOX)
    return np.asarray(small), np.asarray(small_mask)[..., None]
