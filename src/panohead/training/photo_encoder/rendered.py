"""Samples from true renders: datasets of ``panohead synthesize``, whose people have known attributes."""

import zlib
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image

from panohead.attributes import AttributeEncoder
from panohead.attributes.vocabulary import light_numbers, shape_coordinates
from panohead.data.people import PEOPLE_FILE, ListedPerson, read_people
from panohead.errors import PanoHeadError
from panohead.files.image import BrokenImage, decode_image
from panohead.files.inside import inside
from panohead.files.read_json import read_json
from panohead.training.photo_encoder.config import EncoderTrainConfig
from panohead.training.photo_encoder.generated import attribute_count
from panohead.training.photo_encoder.samples import EncoderSample

_FRONT_DEG = 100.0
"""Photos are taken from at most this yaw; behind there is nothing to recognize."""


class RenderedSamples:
    """Photos of a dataset's people from the front and the sides, each with another view of the same shot.

    Args:
        root: folder of the dataset, finished or still growing; people that finish later are not taken.
        number: number of the dataset, for the names of files.
        attributes: attribute encoder of the checkpoint, which also gives the w of people; None without one, then the
            samples have images only.
        config: sizes and seed.
        w_dim: width of w.

    Raises:
        PanoHeadError: when there are no people with several views of a shot.
    """

    def __init__(
        self,
        root: Path,
        number: int,
        attributes: AttributeEncoder | None,
        config: EncoderTrainConfig,
        *,
        w_dim: int,
    ) -> None:
        self.root, self.name = root, f"dataset{number}"
        self._w_dim = w_dim
        self._attributes, self._config = attributes, config
        self._vocabulary = None if attributes is None else attributes.vocabulary
        self._shape: tuple[int, Float[np.ndarray, " coordinate"]] | None = None
        self._pairs = [pair for record in people_records(root) for pair in _pairs(record, config.seed)]
        self.count = len(self._pairs)
        if not self._pairs:
            raise PanoHeadError(
                f"{root} has no people with several views of a shot; render it with 'panohead synthesize' (edition 2)"
            )

    @torch.no_grad()
    def sample(self, number: int) -> EncoderSample:
        """Return a photo and its second view.

        Raises:
            PanoHeadError: when a file is missing or broken.
        """
        record, first, second = self._pairs[number]
        person = int(record["person"])
        try:
            views = [read_view(self.root, view["image"]) for view in (first, second)]
            vector = self._vector(record, first)
            labels = [np.array(view["label"], np.float32).reshape(25) for view in (first, second)]
        except (OSError, KeyError, ValueError, TypeError, IndexError, BrokenImage) as error:
            raise PanoHeadError(
                f"{self.root}: person {person} cannot be read ({error}); render the dataset with 'panohead synthesize'"
            ) from error
        w = np.full(self._w_dim, np.nan, np.float32)
        if self._attributes is not None:
            device = self._attributes.shape_mean.device
            w = self._attributes(torch.from_numpy(vector)[None].to(device))[0].cpu().numpy()
        return EncoderSample(
            photo=_shrunk(views[0], self._config.resolution),
            second=_shrunk(views[1], self._config.side),
            label=labels[0],
            offset=np.zeros(3, np.float32),
            second_label=labels[1],
            w=w,
            attributes=vector,
            person=person,
        )

    def _vector(self, record: dict[str, Any], view: dict[str, Any]) -> Float[np.ndarray, " attribute"]:
        if self._vocabulary is None:
            return np.full(attribute_count(None), np.nan, np.float32)
        person = int(record["person"])
        if self._shape is None or self._shape[0] != person:  # of all shots of a person
            self._shape = (person, shape_coordinates(record))
        shot = record["shots"][view["shot"]]
        light = light_numbers(view["lighting"])
        return self._vocabulary.vector(record, self._shape[1], light, expression=shot["expression"], gaze=shot["gaze"])


def people_records(root: Path) -> list[dict[str, Any]]:
    """Return the records of all finished people of a finished or growing dataset, in the order of their numbers.

    Raises:
        PanoHeadError: when there are none.
    """
    found: list[ListedPerson] = []
    if (root / PEOPLE_FILE).is_file():
        found += read_people(root / PEOPLE_FILE)
    found += [read_json(part, ListedPerson) for part in sorted((root / "parts").glob("*.json"))]
    if not found:
        raise PanoHeadError(f"{root} holds no people; give a dataset of 'panohead synthesize'")
    return cast(list[dict[str, Any]], sorted(found, key=lambda record: record["person"]))


def _pairs(record: dict[str, Any], seed: int) -> list[tuple[dict[str, Any], dict[str, Any], dict[str, Any]]]:
    """Return every frontal view of a person with another view of the same shot, drawn by the person's number."""
    rng = np.random.default_rng([seed, int(record["person"]), zlib.crc32(b"encoder")])
    pairs = []
    for view in record["views"]:
        others = [x for x in record["views"] if x is not view and x.get("shot", 0) == view.get("shot", 0)]
        if abs(float(view.get("yaw_deg", 180))) <= _FRONT_DEG and others and "shots" in record:
            pairs.append((record, view, others[rng.integers(len(others))]))
    return pairs


def read_view(root: Path, name: str) -> UInt8[np.ndarray, "height width 4"]:
    pixels = np.asarray(decode_image(inside(root / "images", name)).image.convert("RGB"))
    mask = np.asarray(decode_image(inside(root / "masks", name).with_suffix(".png"), colors=False).image.convert("L"))
    return np.concatenate([pixels, mask[..., None]], axis=2)


def _shrunk(pixels: UInt8[np.ndarray, "height width 4"], side: int) -> UInt8[np.ndarray, "side side 4"]:
    """Resize colors and mask apart from each other: Pillow would multiply one by the other."""
    how = Image.Resampling.BOX if side < len(pixels) else Image.Resampling.BILINEAR
    color, mask = (np.asarray(Image.fromarray(x).resize((side, side), how)) for x in (pixels[..., :3], pixels[..., 3]))
    return np.concatenate([color, mask[..., None]], axis=2)
