"""Reading a dataset that knows its people."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from panohead.errors import PanoHeadError
from panohead.training.multiview import load_multiview


def write_dataset(root: Path) -> None:
    """Two people (numbers 7 and 9) of two views; a grey picture whose left half is the person."""
    for folder in ("images", "masks"):
        (root / folder).mkdir()
    names = ["a_0", "a_1", "b_0", "b_1"]
    mask = np.zeros((8, 8), np.uint8)
    mask[:, :4] = 255
    for i, name in enumerate(names):
        Image.fromarray(np.full((8, 8, 3), 40 * i, np.uint8)).save(root / "images" / f"{name}.png")
        Image.fromarray(mask).save(root / "masks" / f"{name}.png")
    labels = [[f"{name}.png", [float(i)] * 25] for i, name in enumerate(names)]
    (root / "images" / "dataset.json").write_text(json.dumps({"labels": labels}))
    rows = [{"name": name, "person": 7 if name[0] == "a" else 9} for name in names]
    (root / "people.jsonl").write_text("\n".join(json.dumps(row) for row in rows))


def test_reads_people_on_white(tmp_path: Path) -> None:
    write_dataset(tmp_path)
    data = load_multiview(tmp_path, 4)
    assert data.people == 2
    assert data.person.tolist() == [0, 0, 1, 1]
    assert data.images.shape == (4, 3, 4, 4)
    assert data.images[3, :, 0].tolist() == [[120, 120, 255, 255]] * 3
    assert data.masks[3, 0, 0].tolist() == [255, 255, 0, 0]
    assert data.labels[:, 0].tolist() == [0, 1, 2, 3]


def test_takes_the_first_people_and_subsets(tmp_path: Path) -> None:
    write_dataset(tmp_path)
    data = load_multiview(tmp_path, 8, people=1)
    assert data.names == ("a_0", "a_1")
    assert data.subset(torch.tensor([1])).names == ("a_1",)


def test_names_the_missing_file(tmp_path: Path) -> None:
    with pytest.raises(PanoHeadError, match=r"dataset\.json is missing"):
        load_multiview(tmp_path, 8)
    write_dataset(tmp_path)
    (tmp_path / "masks" / "b_1.png").unlink()
    with pytest.raises(PanoHeadError, match=r"b_1\.png is missing"):
        load_multiview(tmp_path, 8)
