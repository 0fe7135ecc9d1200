"""Photos of people from several sides, with the person on each, held in memory as bytes."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import NotRequired, TypedDict

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from panohead.data.dataset import open_dataset
from panohead.data.people import PEOPLE_FILE, ListedView
from panohead.errors import PanoHeadError
from panohead.files.read_json import read_json_lines


@dataclass(frozen=True)
class MultiViewData:
    """Photos of people from several sides.

    Attributes:
        images: colors, 0..255, the person on white.
        masks: foreground weights, 0..255, 255 for the person.
        labels: cameras as labels of 25 numbers.
        person: index of the person in each photo, 0..people - 1.
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
        """Return some of the views; people keep their indices."""
        names = tuple(self.names[int(i)] for i in keep) if self.names else ()
        return MultiViewData(self.images[keep], self.masks[keep], self.labels[keep], self.person[keep], names)


def load_multiview(
    root: Path,
    resolution: int,
    people: int | None = None,
    *,
    masks: Path | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> MultiViewData:
    """Read a dataset (in any layout) whose folder has a ``people.jsonl`` that says which person each photo shows.

    Args:
        root: the dataset's folder.
        resolution: pixels per side to which the photos are reduced (box filter, by a whole factor).
        people: number of people to read, the first ones; None for all.
        masks: folder or zip of the masks, if they are not beside the images: ``root`` is then the images themselves,
            and ``people.jsonl`` lies in them or beside them.
        on_progress: function called with the number of photos read and that of all photos.

    Raises:
        PanoHeadError: when a file is missing or unreadable, or ``people.jsonl`` names no photo of the dataset.
    """
    people_file = root / PEOPLE_FILE
    if masks is not None and not people_file.is_file():
        people_file = root.parent / PEOPLE_FILE
    dataset = open_dataset(root, masks=masks, background="white", resolution=resolution)
    if not people_file.is_file():
        raise PanoHeadError(
            f"{people_file} is missing; a warm start needs a dataset that says which person each photo shows"
        )
    person_of = _people(people_file)
    number = {person: i for i, person in enumerate(sorted(set(person_of.values()))[:people])}
    stems = [str(PurePosixPath(name).with_suffix("")) for name in dataset.names]
    chosen = [i for i, stem in enumerate(stems) if person_of.get(stem) in number]
    if not chosen:
        raise PanoHeadError(f"{people_file} names no photo of {root}; check that they belong together")
    images = torch.empty(len(chosen), 3, resolution, resolution, dtype=torch.uint8)
    alphas = torch.empty(len(chosen), 1, resolution, resolution, dtype=torch.uint8)
    for place, photo in enumerate(chosen):
        images[place], alphas[place] = dataset.photo(photo)
        if on_progress is not None:
            on_progress(place + 1, len(chosen))
    return MultiViewData(
        images,
        alphas,
        torch.from_numpy(dataset.photo_labels[chosen]),
        torch.tensor([number[person_of[stems[i]]] for i in chosen]),
        tuple(stems[i] for i in chosen),
    )


def _people(file: Path) -> dict[str, int]:
    """Read the person of each photo (name without suffix): a line per person with its "views", or a line per photo."""
    person_of: dict[str, int] = {}
    remedy = 'it needs one JSON object per line with "person" and "views" or "name"; write it again'
    for row in read_json_lines(file, _Row, remedy=remedy):
        shown = [view["image"] for view in row["views"]] if "views" in row else [row.get("name", "")]
        if not all(PurePosixPath(name).name for name in shown):
            raise PanoHeadError(f"{file} does not name the photos of person {row['person']}; {remedy}")
        person_of |= {str(PurePosixPath(name).with_suffix("")): row["person"] for name in shown}
    return person_of


class _Row(TypedDict):
    person: int
    views: NotRequired[list[ListedView]]
    name: NotRequired[str]
