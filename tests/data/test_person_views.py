"""Items by person and shot, and the walk that shows views of one person side by side."""

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from panohead.data.dataset import PhotoDataset, open_dataset
from panohead.data.loader import PhotoLoader
from panohead.data.person_views import PersonViews, PersonWalk, read_shots
from panohead.data.selection import SelectionConfig
from panohead.errors import PanoHeadError
from panohead.geometry import Camera

SHOTS = {"a0": (0, 0), "a1": (0, 0), "a2": (0, 0), "b0": (0, 1), "c0": (1, 0), "c1": (1, 0), "unknown": None}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Seven images: a shot of three, one alone, one of two, and one of nobody; the gray of each is its number."""
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
    labels = []
    for number, name in enumerate(SHOTS):
        Image.new("RGB", (16, 16), (number,) * 3).save(tmp_path / "images" / f"{name}.png")
        mask = Image.new("L", (16, 16), 0)
        mask.paste(255, (4, 4, 12, 12))
        mask.save(tmp_path / "masks" / f"{name}.png")
        labels.append([f"{name}.png", Camera.orbit(30.0 * number).to_label().tolist()])
    (tmp_path / "images" / "dataset.json").write_text(json.dumps({"labels": labels}))
    people: dict[int, list[dict[str, object]]] = {0: [], 1: []}
    for name, place in SHOTS.items():
        if place is not None:
            people[place[0]].append({"image": f"{name}.png", "shot": place[1]})
    lines = [json.dumps({"person": person, "views": views}) for person, views in people.items()]
    (tmp_path / "people.jsonl").write_text("\n".join(lines) + "\n")
    return tmp_path


def shot(dataset: PhotoDataset, item: int) -> tuple[object, bool]:
    name = dataset.names[int(dataset.selection.photo[item])].removesuffix(".png")
    return SHOTS[name], bool(dataset.selection.flipped[item])


def test_views_are_of_one_shot_of_different_photos_and_of_one_side_of_the_mirror(root: Path) -> None:
    dataset = open_dataset(root, SelectionConfig(mirror=True, back_repeat=2))
    people = PersonViews(dataset, read_shots(root), 2)
    walk = list(itertools.islice(PersonWalk(people, seed=3, rank=0, num_replicas=1, start=0), 400))
    seen = set()
    for first, second in zip(walk[::2], walk[1::2], strict=True):
        assert shot(dataset, first) == shot(dataset, second)
        photos = dataset.selection.photo[[first, second]].tolist()
        assert photos[0] != photos[1]
        seen.add(tuple(sorted(photos)))
    assert seen == {(0, 1), (0, 2), (1, 2), (4, 5)}
    later = list(itertools.islice(PersonWalk(people, seed=3, rank=0, num_replicas=1, start=100), 300))
    assert later == walk[100:], "resumed"
    ranks = [list(itertools.islice(PersonWalk(people, seed=3, rank=r, num_replicas=2, start=0), 200)) for r in (0, 1)]
    pairs = np.array(walk).reshape(-1, 2)
    assert np.array_equal(np.array(ranks).reshape(2, -1, 2).swapaxes(0, 1).reshape(-1, 2), pairs), "shared by devices"


def test_the_loader_shows_pairs_and_draws_their_cameras(root: Path) -> None:
    dataset = open_dataset(root, SelectionConfig(mirror=True))
    arguments = {"batch": 4, "rank": 0, "num_replicas": 1, "seed": 0, "device": torch.device("cpu"), "cache": "memory"}
    loader = PhotoLoader(dataset, people=PersonViews(dataset, read_shots(root), 2), **arguments)  # type: ignore[arg-type]
    batch = next(iter(loader))
    numbers = batch.image[:, 0, 0, 0].tolist()
    for first, second in ((0, 1), (2, 3)):
        assert {numbers[first], numbers[second]} in ({0, 1}, {0, 2}, {1, 2}, {4, 5})
    labels = loader.random_views(64, torch.Generator().manual_seed(0))
    assert labels.shape == (128, 25)
    yaws = (Camera.from_label(labels).angles_deg()[:, 0] / 30).round().int().remainder(12).tolist()
    assert {frozenset(pair) for pair in zip(yaws[:64], yaws[64:], strict=True)} == {
        frozenset(pair) for pair in ((0, 1), (0, 2), (1, 2), (4, 5))
    }
    with pytest.raises(ValueError, match="single photos"):
        PhotoLoader(dataset, **arguments).random_views(1, torch.Generator())  # type: ignore[arg-type]


def test_three_views_and_datasets_without_pairs(root: Path) -> None:
    dataset = open_dataset(root)
    three = PersonViews(dataset, read_shots(root), 3)
    assert three.items.tolist() == [0, 1, 2]
    assert sorted([0, *three.others(0, [0.99, 0.0])]) == [0, 1, 2]
    with pytest.raises(PanoHeadError, match="4 photos of one shot"):
        PersonViews(dataset, read_shots(root), 4)
    (root / "people.jsonl").unlink()
    with pytest.raises(PanoHeadError, match=r"people\.jsonl is missing"):
        read_shots(root)
