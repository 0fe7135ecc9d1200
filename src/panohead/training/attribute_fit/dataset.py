"""Reader of a synthetic dataset, finished or still growing, with the attributes of every shot."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from panohead.attributes.vocabulary import Vocabulary, light_numbers, shape_coordinates
from panohead.data.people import PEOPLE_FILE, ListedPerson, read_people
from panohead.errors import PanoHeadError
from panohead.files.archive import read_arrays
from panohead.files.image import BrokenImage, decode_image
from panohead.files.inside import inside
from panohead.files.read_json import read_json
from panohead.training.attribute_fit.deformations import DeformationSolver
from panohead.training.attribute_fit.shots import Shots

_THREADS = 2


class GrowingDataset:
    """Folder of ``panohead synthesize --depth``; :meth:`refresh` reads the people added since the last call.

    Args:
        root: the dataset's folder.
        vocabulary: conversion of people to attribute vectors.
        limit: maximum number of people to read; None for all.
        deformations: solver of the shots' known deformations; None for shots without.
    """

    def __init__(
        self,
        root: Path,
        vocabulary: Vocabulary,
        *,
        limit: int | None = None,
        deformations: DeformationSolver | None = None,
    ) -> None:
        self.root, self.vocabulary, self.limit, self.deformations = root, vocabulary, limit, deformations
        self._people: dict[int, _Person] = {}

    @property
    def people(self) -> int:
        """Number of people read so far."""
        return len(self._people)

    def wait_for(self, people: int, every_s: float = 10.0) -> None:
        """Sleep until ``people`` people are finished."""
        while len(self._records()) < people:
            time.sleep(every_s)

    def refresh(self, on_progress: Callable[[int, int], None] | None = None) -> Shots:
        """Read the new people and return all shots, in the order of the people's numbers.

        Raises:
            PanoHeadError: when no person is finished yet, or a file of a finished person is missing or broken.
        """
        records = {r["person"]: r for r in self._records() if r["person"] not in self._people}
        wanted = sorted(records)[: None if self.limit is None else self.limit - self.people]
        with ThreadPoolExecutor(_THREADS) as pool:
            for done, (index, person) in enumerate(
                zip(wanted, pool.map(self._read, [records[index] for index in wanted]), strict=True)
            ):
                self._people[index] = person
                if on_progress is not None:
                    on_progress(done + 1, len(wanted))
        if not self._people:
            raise PanoHeadError(f"{self.root} holds no finished person yet; render it with 'panohead synthesize'")
        return _joined(dict(sorted(self._people.items())))

    def _records(self) -> list[dict[str, Any]]:
        """Return the records of all finished people, whether the dataset is finished or still being rendered."""
        found: list[ListedPerson] = []
        whole = self.root / PEOPLE_FILE
        if whole.is_file():
            found += read_people(whole)
        found += [read_json(part, ListedPerson) for part in sorted((self.root / "parts").glob("*.json"))]
        return cast(list[dict[str, Any]], found)

    def _read(self, record: dict[str, Any]) -> "_Person":
        try:
            person = _read_person(self.root, record, self.vocabulary)
            if self.deformations is not None:
                person.offsets = self.deformations.of_person(record)
            return person
        except (OSError, KeyError, ValueError, TypeError, IndexError, BrokenImage) as error:
            raise PanoHeadError(
                f"{self.root}: person {record.get('person')} cannot be read ({error}); render the dataset with "
                "'panohead synthesize --depth', edition 2"
            ) from error


class _Person:
    """Arrays of one person's views and shots."""

    def __init__(self, views: list[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]) -> None:
        images, masks, depth, labels = (np.stack(x) for x in zip(*views, strict=True))
        self.images = torch.from_numpy(images).permute(0, 3, 1, 2).contiguous()
        self.masks, self.depth, self.labels = (torch.from_numpy(x) for x in (masks, depth, labels))
        self.view_of: list[list[int]] = []
        self.attributes: list[np.ndarray] = []
        self.offsets: np.ndarray | None = None


def _read_person(root: Path, record: dict[str, Any], vocabulary: Vocabulary) -> _Person:
    views = [_read_view(root, view) for view in record["views"]]
    person, shape = _Person(views), shape_coordinates(record)
    for number, shot in enumerate(record["shots"]):
        own = [i for i, view in enumerate(record["views"]) if view["shot"] == number]
        person.view_of.append(own)
        light = light_numbers(record["views"][own[0]]["lighting"])
        person.attributes.append(
            vocabulary.vector(record, shape, light, expression=shot["expression"], gaze=shot["gaze"])
        )
    return person


def _read_view(root: Path, view: dict[str, Any]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    name = view["image"]
    pixels = np.asarray(decode_image(inside(root / "images", name)).image.convert("RGB"))
    mask = np.asarray(decode_image(inside(root / "masks", name).with_suffix(".png"), colors=False).image.convert("L"))
    depth = read_arrays(inside(root / "depth", name).with_suffix(".npz"), ["depth"])["depth"].astype(np.float16)
    return pixels, mask, depth, np.array(view["label"], np.float32)


def _joined(numbered: dict[int, _Person]) -> Shots:
    people = list(numbered.values())
    starts = np.cumsum([0, *(len(person.labels) for person in people)])

    def cat(name: str) -> Tensor:
        joined = torch.cat([getattr(person, name) for person in people])
        # The people keep views: thousands of them would not be in memory twice.
        for person, part in zip(people, joined.split(np.diff(starts).tolist()), strict=True):
            setattr(person, name, part)
        return joined

    view_of = [torch.tensor(p.view_of) + int(start) for p, start in zip(people, starts[:-1], strict=True)]
    offsets = [person.offsets for person in people if person.offsets is not None]
    return Shots(
        images=cat("images"),
        masks=cat("masks"),
        depth=cat("depth"),
        labels=cat("labels"),
        view_of=torch.cat(view_of),
        attributes=torch.from_numpy(np.concatenate([np.stack(p.attributes) for p in people])),
        # The dataset's own numbers: people may finish in another order, and residual codes must stay theirs.
        person=torch.tensor([number for number, p in numbered.items() for _ in p.attributes]),
        offsets=torch.from_numpy(np.concatenate(offsets)) if offsets else None,
    )
