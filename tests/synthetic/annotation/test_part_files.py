"""Part maps and landmarks in a dataset: with the images or later, the same bytes; refusals."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from folder_digest import folder_digest
from panohead.errors import PanoHeadError
from panohead.synthetic.annotation import COLORS, LANDMARKS
from panohead.synthetic.annotation.files import annotation_files, read_annotation
from panohead.synthetic.config import SyntheticDatasetConfig
from panohead.synthetic.synthesize import synthesize

NAME = "00000/000000_01.webp"


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("parts") / "plain"
    list(synthesize(SyntheticDatasetConfig(people=1, out=out, views=2, resolution=24, seed=8)))
    return out


def test_parts_added_later_are_those_of_one_run_and_touch_nothing_else(plain: Path, tmp_path: Path) -> None:
    config = SyntheticDatasetConfig(people=1, out=plain, views=2, resolution=24, seed=8)
    before = folder_digest(plain)
    times = {p: p.stat().st_mtime_ns for p in (plain / "images").rglob("*.webp")}
    with_parts = dataclasses.replace(config, parts=True)
    assert list(synthesize(with_parts)) == [0, 1]
    assert {p: p.stat().st_mtime_ns for p in times} == times
    after = folder_digest(plain)
    assert {name: after[name] for name in before} == before
    assert len(after) == len(before) + 2 * 4
    together = tmp_path / "together"
    assert list(synthesize(dataclasses.replace(with_parts, out=together))) == [0, 1]
    assert folder_digest(together) == after
    maps, landmarks = annotation_files(plain, NAME)
    for file in (maps, landmarks):
        file.unlink()
        assert list(synthesize(with_parts)) == [0, 1], "what is missing is written again"
        assert folder_digest(plain) == after
    assert list(synthesize(config)) == [1], "and a run without the option leaves them"
    assert folder_digest(plain) == after


def test_files_are_images_of_the_labels_with_landmarks_beside(plain: Path) -> None:
    list(synthesize(SyntheticDatasetConfig(people=1, out=plain, views=2, resolution=24, seed=8, parts=True)))
    found = read_annotation(plain, NAME)
    maps, landmarks = annotation_files(plain, NAME)
    with Image.open(maps) as image:
        assert image.mode == "P"
        assert (np.asarray(image) == found.parts).all()
        shown = np.asarray(image.convert("RGB"))
    assert (shown == np.array(COLORS)[found.parts]).all()
    assert found.landmarks.shape == (len(LANDMARKS), 3)
    assert set(found.landmarks[:, 2].tolist()) <= {0.0, 1.0}
    np.savez(landmarks, landmarks=found.landmarks[:5])
    with pytest.raises(PanoHeadError, match=f"{len(LANDMARKS)} landmarks"):
        read_annotation(plain, NAME)
    Image.new("L", (24, 24), 99).save(maps)
    with pytest.raises(PanoHeadError, match="no part map"):
        read_annotation(plain, NAME)
    maps.unlink()
    with pytest.raises(PanoHeadError, match="synthesize --parts"):
        read_annotation(plain, NAME)
