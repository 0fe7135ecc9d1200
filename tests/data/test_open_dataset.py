"""Opening a dataset: layouts, preprocessing, jittered cameras, broken images."""

import os
import pickle
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from data.small_photos import photo_name, spoil, write_photos, zipped
from panohead.data.broken import BrokenPhotos
from panohead.data.dataset import PhotoDataset, dataset_paths, open_dataset
from panohead.data.selection import SelectionConfig
from panohead.data.sources import FolderSource
from panohead.data.tools.write_shards import write_shards
from panohead.errors import PanoHeadError

WHOLE = SelectionConfig(back_repeat=2, mirror=True)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_photos(tmp_path / "photos")


def everything(data: PhotoDataset) -> tuple[torch.Tensor, ...]:
    batch = data.batch(range(len(data)))
    return batch.image, batch.mask, batch.label


def test_every_layout_is_found(root: Path, tmp_path: Path) -> None:
    expected = everything(PhotoDataset(*dataset_paths(root), WHOLE))
    zips = tmp_path / "zips"
    zips.mkdir()
    for name in ("images", "masks"):
        zipped(root, name).rename(zips / f"{name}.zip")
    write_shards(root, tmp_path / "shards")
    opened = [
        open_dataset(root, WHOLE),
        open_dataset(zips, WHOLE),
        open_dataset(tmp_path / "shards", WHOLE),
        open_dataset(root / "images", WHOLE, masks=root / "masks"),
        open_dataset(zips / "images.zip", WHOLE, masks=root / "masks"),
    ]
    for data in opened:
        assert all(torch.equal(x, y) for x, y in zip(everything(data), expected, strict=True))


def test_missing_datasets_are_told(root: Path, tmp_path: Path) -> None:
    with pytest.raises(PanoHeadError, match="nowhere does not exist"):
        open_dataset(tmp_path / "nowhere")
    with pytest.raises(PanoHeadError, match=r"must hold images/ and masks/ .* or \.tar shards"):
        open_dataset(root / "images")
    with pytest.raises(PanoHeadError, match=r"must hold images/ and masks/ .* or \.tar shards"):
        open_dataset(zipped(root, "images"))


def test_a_closed_folder_makes_no_smaller_dataset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "0.png").write_bytes(b"")
    assert FolderSource(tmp_path).names() == ["a/0.png", "b/0.png"]
    scandir = os.scandir

    def closed(path: str) -> object:
        if os.path.basename(path) == "b":
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", closed)  # root may list every folder
    with pytest.raises(PanoHeadError, match=r"b \(Permission denied\); check its permissions"):
        FolderSource(tmp_path).names()
    assert FolderSource(tmp_path / "missing").names() == []


def test_images_are_reduced_and_put_on_white(root: Path) -> None:
    data, plain = (open_dataset(root, WHOLE, **settings) for settings in ({"resolution": 4, "background": "white"}, {}))
    assert (data.resolution, plain.resolution) == (4, 16)
    image, mask, label = (x.double() for x in everything(data))
    whole, whole_mask, whole_label = (x.double() for x in everything(plain))
    white = (whole * whole_mask + 255 * (255 - whole_mask)) / 255
    for reduced, full in ((image, white), (mask, whole_mask)):
        means = full.unflatten(3, (4, 4)).unflatten(2, (4, 4)).mean((3, 5))
        assert (reduced - means).abs().max() <= 0.5 + 1e-6
    assert torch.equal(label, whole_label)


def test_odd_resolutions_are_refused(root: Path) -> None:
    with pytest.raises(PanoHeadError, match=r"images have 16 pixels a side.* resolution 5; choose 16, 8, 4, 2"):
        open_dataset(root, resolution=5)


def test_jitter_moves_cameras_and_nothing_else(root: Path) -> None:
    plain, moved = open_dataset(root, WHOLE), open_dataset(root, WHOLE, camera_jitter=0.1)
    offset = moved.photo_labels - plain.photo_labels
    positions = np.isin(np.arange(25), [3, 7, 11])
    assert (offset[:, ~positions] == 0).all()
    assert (offset[:, positions] != 0).all()
    assert 0.05 < offset[:, positions].std() < 0.2
    assert np.array_equal(moved.selection.photo, plain.selection.photo)
    assert not torch.equal(moved.label_std(), plain.label_std())
    for index in range(len(moved)):
        photo, flipped = moved.selection.photo[index], moved.selection.flipped[index]
        signs = torch.tensor([-1.0 if flipped else 1.0, 1.0, 1.0])
        expected = plain.label(index, mirror=True)[positions] + signs * torch.from_numpy(offset[photo, positions])
        torch.testing.assert_close(moved.label(index, mirror=True)[positions], expected)
        assert torch.equal(moved.label(index), torch.from_numpy(moved.photo_labels[photo]))
    assert torch.equal(moved[30].label, moved.label(30, mirror=True))


def test_jitter_depends_on_its_seed_alone(root: Path) -> None:
    def labels(std: float, seed: int, selection: SelectionConfig | None = None) -> np.ndarray:
        return open_dataset(root, selection, camera_jitter=std, camera_jitter_seed=seed).photo_labels

    assert np.array_equal(labels(0.1, 1), labels(0.1, 1, SelectionConfig(max_size=3)))
    assert not np.array_equal(labels(0.1, 1), labels(0.1, 2))
    base = labels(0.0, 1)
    np.testing.assert_allclose(labels(0.2, 1) - base, 2 * (labels(0.1, 1) - base), atol=1e-6)
    with pytest.raises(PanoHeadError, match="camera_jitter is -1; give a number from 0"):
        labels(-1.0, 0)


def test_the_next_readable_photo_takes_a_broken_ones_place(root: Path) -> None:
    plain = open_dataset(root, WHOLE)
    spoil(root, 2, 3)
    data = open_dataset(root, WHOLE, broken_limit=2)
    broken = np.isin(plain.selection.photo, [2, 3])
    with pytest.warns(RuntimeWarning, match="next readable photo") as warned:
        items = [data[index] for index in range(len(data))]
    for index, item in enumerate(items):
        place = index
        while broken[place]:
            place = (place + 1) % len(plain)
        assert torch.equal(item.image, plain[place].image)
        assert torch.equal(item.mask, plain[place].mask)
        assert torch.equal(item.label, plain[place].label)
    messages = sorted(str(warning.message) for warning in warned)
    assert [name in message for name, message in zip(map(photo_name, [2, 3]), messages, strict=True)] == [True, True]
    assert [Path(file).name for file in sorted(data.broken.sentences)] == ["002.png", "003.png"]


def test_the_end_is_followed_by_the_beginning(root: Path) -> None:
    data = open_dataset(root, broken_limit=1)
    last, first = len(data) - 1, data[0]
    spoil(root, int(data.selection.photo[last]))
    with pytest.warns(RuntimeWarning):
        item = data[last]
    assert torch.equal(item.image, first.image)


def test_broken_masks_and_wrong_sizes_count_too(root: Path) -> None:
    (root / "masks" / photo_name(1)).write_bytes(b"")
    Image.new("RGB", (8, 8)).save(root / "images" / photo_name(2))
    data = open_dataset(root, broken_limit=2)
    with pytest.warns(RuntimeWarning) as warned:
        everything(data)
    messages = " ".join(str(warning.message) for warning in warned)
    assert f"masks/{photo_name(1)} as an image" in messages
    assert f"images/{photo_name(2)} has 8 x 8 pixels instead of 16 x 16" in messages


def test_the_first_photo_may_be_broken(root: Path) -> None:
    spoil(root, 0, 1)
    with pytest.warns(RuntimeWarning):
        data = open_dataset(root, broken_limit=2)
    assert data.resolution == 16
    with pytest.raises(PanoHeadError, match=r"2 files of the dataset cannot be used \(1 are tolerated\)"):
        open_dataset(root, broken_limit=1)


def test_more_than_the_limit_stops_with_the_list(root: Path) -> None:
    data = open_dataset(root, broken_limit=2)
    spoil(root, 1, 4, 7)
    with pytest.warns(RuntimeWarning), pytest.raises(PanoHeadError) as caught:
        [data[index] for index in range(len(data))]
    assert all(photo_name(number) in str(caught.value) for number in (1, 4, 7))
    assert str(caught.value).startswith("3 files of the dataset cannot be used (2 are tolerated)")


def test_a_dataset_without_a_readable_photo_ends(root: Path) -> None:
    data = open_dataset(root, broken_limit=100)
    spoil(root, *range(12))
    with pytest.warns(RuntimeWarning), pytest.raises(PanoHeadError, match="12 files of the dataset cannot be used"):
        data[0]


def test_long_lists_are_cut() -> None:
    broken = BrokenPhotos(24)
    with pytest.warns(RuntimeWarning) as warned:
        broken.report({f"file{number:02d}": f"sentence {number}" for number in range(24)})
    assert len(warned) == 24
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        broken.report({"file03": "sentence 3"})
    with pytest.raises(PanoHeadError, match=r"^25 files .*file00, .*file19 and 5 more; the first one: sentence 0$"):
        broken.report({"another": "sentence"})


def test_indices_end(root: Path) -> None:
    data = open_dataset(root)
    assert torch.equal(data[-1].image, data[11].image)
    with pytest.raises(IndexError):
        data[12]


def test_decoded_images_do_not_travel(root: Path) -> None:
    data = open_dataset(root, cache=True)
    before = len(pickle.dumps(data))
    data.preload()
    assert len(pickle.dumps(data)) == before
    assert torch.equal(pickle.loads(pickle.dumps(data))[3].image, data[3].image)
