"""Reading a dataset that knows its people."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from panohead.errors import PanoHeadError
from panohead.geometry.camera import Camera
from panohead.training.warm_start.latent_codes import image_codes
from panohead.training.warm_start.multiview import MultiViewData, load_multiview


def write_dataset(root: Path) -> None:
    """Two people (numbers 7 and 9) of two views; a gray image whose left half is the person."""
    for folder in ("images", "masks"):
        (root / folder).mkdir()
    names = ["a_0", "a_1", "b_0", "b_1"]
    mask = np.zeros((8, 8), np.uint8)
    mask[:, :4] = 255
    for i, name in enumerate(names):
        Image.fromarray(np.full((8, 8, 3), 40 * i, np.uint8)).save(root / "images" / f"{name}.png")
        Image.fromarray(mask).save(root / "masks" / f"{name}.png")
    labels = [[f"{name}.png", Camera.orbit(10.0 * i).to_label().tolist()] for i, name in enumerate(names)]
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
    assert Camera.from_label(data.labels).angles_deg()[:, 0].tolist() == pytest.approx([0, 10, 20, 30], abs=1e-3)


def test_reads_what_synthesize_writes() -> None:
    """A line per person, zips: the images beside this file."""
    data = load_multiview(Path(__file__).parents[1] / "heads", 32)
    assert data.people == 8
    assert data.person.bincount().tolist() == [8] * 8
    assert data.images.shape == (64, 3, 32, 32)


def test_codes_follow_looks() -> None:
    """Whitened, and people with the same images have the same code."""
    data = load_multiview(Path(__file__).parents[1] / "heads", 32)
    codes = image_codes(data, 5, torch.Generator().manual_seed(0))
    assert codes.mean(dim=0).abs().max() < 1e-4
    torch.testing.assert_close(torch.cov(codes.T, correction=0), torch.eye(5), atol=1e-3, rtol=0)
    twins = data.person.clone()
    images, masks, labels = data.images.clone(), data.masks.clone(), data.labels.clone()
    for first, second in zip(torch.nonzero(twins == 0), torch.nonzero(twins == 1), strict=True):
        images[second], masks[second], labels[second] = images[first], masks[first], labels[first]
    same = image_codes(MultiViewData(images, masks, labels, data.person), 5, torch.Generator().manual_seed(0))
    torch.testing.assert_close(same[0], same[1], atol=1e-3, rtol=0)
    assert (same[0] - same[2]).abs().max() > 0.1


def test_takes_the_first_people_and_subsets(tmp_path: Path) -> None:
    write_dataset(tmp_path)
    data = load_multiview(tmp_path, 8, people=1)
    assert data.names == ("a_0", "a_1")
    assert data.subset(torch.tensor([1])).names == ("a_1",)


def test_names_the_missing_file(tmp_path: Path) -> None:
    write_dataset(tmp_path)
    (tmp_path / "masks" / "b_1.png").unlink()
    with pytest.raises(PanoHeadError, match=r"no mask for b_1\.png"):
        load_multiview(tmp_path, 8)
    (tmp_path / "people.jsonl").unlink()
    (tmp_path / "images" / "b_1.png").unlink()
    with pytest.raises(PanoHeadError, match=r"people\.jsonl is missing"):
        load_multiview(tmp_path, 8)
