"""Runs on images whose masks lie elsewhere: opened, remembered, and used again."""

from pathlib import Path

import torch

from panohead.presets import tiny
from panohead.training.distributed.ranks import join_ranks
from panohead.training.launch import open_loader
from panohead.training.run.folder import RunDescription, read_run, write_run
from panohead.training.warm_start.multiview import load_multiview

HEADS = Path(__file__).parents[1] / "heads"


def place(name: str) -> Path:
    return next(path for path in (HEADS / name, HEADS / f"{name}.zip") if path.exists())


def test_the_run_remembers_its_masks(tmp_path: Path) -> None:
    for masks in (None, place("masks").resolve()):
        described = RunDescription(tiny(), place("images").resolve(), None, "x", masks)
        write_run(tmp_path, described)
        assert read_run(tmp_path) == described


def test_images_with_masks_elsewhere_are_the_same_dataset() -> None:
    with join_ranks("cpu") as ranks:
        whole = open_loader(tiny(), HEADS, ranks, quiet=True).dataset
        apart = open_loader(tiny(), place("images"), ranks, masks=place("masks"), quiet=True).dataset
    assert whole.labels_sha256() == apart.labels_sha256()
    assert torch.equal(whole[5].mask, apart[5].mask)


def test_a_warm_start_finds_the_people_beside_the_images() -> None:
    whole, apart = load_multiview(HEADS, 16), load_multiview(place("images"), 16, masks=place("masks"))
    assert torch.equal(whole.person, apart.person)
    assert torch.equal(whole.masks, apart.masks)
