"""Photos that show one person at one moment, for discriminators that see several views of a head together."""

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import numpy as np
import torch
from jaxtyping import Int

from panohead.data.dataset import PhotoDataset
from panohead.data.people import PEOPLE_FILE, read_people
from panohead.data.sampler import InfiniteSampler
from panohead.errors import PanoHeadError


class PersonViews:
    """The items of a dataset by person and shot: expression, hair and light are the same on photos of one shot.

    Mirrored items belong to the mirrored person. Repeated ones (of the back) count as often as they are listed.

    Args:
        dataset: photos with names.
        people: shot (any number) of each photo by its name without suffix, see :func:`read_shots`.
        views: photos that are shown together.

    Attributes:
        items: the items that belong to at least ``views`` different photos of one shot.

    Raises:
        PanoHeadError: when there is no such item.
    """

    def __init__(self, dataset: PhotoDataset, people: dict[str, int], views: int) -> None:
        self.views = views
        stems = [str(PurePosixPath(name).with_suffix("")) for name in dataset.names]
        groups: dict[tuple[int, bool], list[int]] = defaultdict(list)
        self._photo = dataset.selection.photo
        for item, (photo, flipped) in enumerate(
            zip(self._photo.tolist(), dataset.selection.flipped.tolist(), strict=True)
        ):
            shot = people.get(stems[photo])
            if shot is not None:
                groups[shot, flipped].append(item)
        large = [group for group in groups.values() if len({int(self._photo[item]) for item in group}) >= views]
        if not large:
            raise PanoHeadError(
                f"no person of the dataset has {views} photos of one shot, which the discriminator is to see together; "
                "take a dataset with more views, or set discriminator.views=1"
            )
        self._group = {item: group for group in large for item in group}
        self.items: Int[np.ndarray, " item"] = np.array(sorted(self._group))

    def others(self, item: int, draws: list[float]) -> list[int]:
        """Return other items of the same shot, of different photos.

        Args:
            draws: numbers in [0, 1) that choose them, one for each.
        """
        chosen = [item]
        for draw in draws:
            shown = {self._photo[one] for one in chosen}
            left = [one for one in self._group[item] if self._photo[one] not in shown]
            chosen.append(left[int(draw * len(left))])
        return chosen[1:]

    def random(self, heads: int, rng: torch.Generator) -> Int[torch.Tensor, "heads views"]:
        """Return items of ``heads`` random shots, on the CPU."""
        device = rng.device
        places = torch.randint(len(self.items), (heads,), generator=rng, device=device).tolist()
        draws = torch.rand((heads, self.views - 1), generator=rng, device=device, dtype=torch.float64).tolist()
        firsts = self.items[places].tolist()
        return torch.tensor([[first, *self.others(first, own)] for first, own in zip(firsts, draws, strict=True)])


class PersonWalk(torch.utils.data.Sampler[int]):
    """Indices of items without end, ``views`` of one shot after the other; the first ones as :class:`InfiniteSampler`.

    Args:
        people: the items by shot.
        seed, rank, num_replicas: as of :class:`InfiniteSampler`.
        start: indices of this device to skip, a multiple of the views.
    """

    def __init__(self, people: PersonViews, *, seed: int, rank: int, num_replicas: int, start: int) -> None:
        self._people, self._seed, self._rank, self._replicas = people, seed, rank, num_replicas
        self._start = start // people.views
        self._walk = InfiniteSampler(
            len(people.items), seed=seed, rank=rank, num_replicas=num_replicas, start=self._start
        )

    def __iter__(self) -> Iterator[int]:
        for count, place in enumerate(self._walk, start=self._start):
            item = int(self._people.items[place])
            # By the number among those of all devices, so that the pairs are the same however many share them.
            rng = np.random.default_rng((self._seed, count * self._replicas + self._rank, 0x2B))
            yield item
            yield from self._people.others(item, rng.random(self._people.views - 1).tolist())


def read_shots(data: Path, *, masks: Path | None = None) -> dict[str, int]:
    """Read which photos of a dataset show one person at one moment: a number by the photo's name without suffix.

    Args:
        data: the dataset's folder.
        masks: folder or zip of the masks, if they are not beside the images; ``data`` is then the images themselves,
            and ``people.jsonl`` lies in them or beside them.

    Raises:
        PanoHeadError: when the file is missing or cannot be read.
    """
    file = data / PEOPLE_FILE
    if masks is not None and not file.is_file():
        file = data.parent / PEOPLE_FILE
    if not file.is_file():
        raise PanoHeadError(
            f"{file} is missing; a discriminator of several views needs a dataset that says whom each photo shows"
        )
    shots: dict[tuple[int, int], int] = {}
    found = {}
    for row in read_people(file):
        for view in row["views"]:
            shot = shots.setdefault((row["person"], view.get("shot", 0)), len(shots))
            found[str(PurePosixPath(view["image"]).with_suffix(""))] = shot
    return found
