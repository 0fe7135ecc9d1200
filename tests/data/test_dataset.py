"""The dataset reader: golden order, pixels and labels; folder and zip alike; errors that name the file."""

import json
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from panohead.data.dataset import PhotoDataset, collate, dataset_paths
from panohead.data.selection import SelectionConfig
from panohead.errors import PanoHeadError
from parity.golden import assert_close, load

OURS = {
    "xflip": "mirror",
    "min_yaw": "min_yaw_deg",
    "max_yaw": "max_yaw_deg",
    "max_pitch": "max_pitch_deg",
    "back_repeat": "back_repeat",
}
BACK = [5, 6, 7]
"""Photos of misc.npz from more than 100 degrees."""


def photo_name(number: int) -> str:
    return f"00000/img{number:08d}.png"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The golden dataset on disk: ten photos, labels partly as strings, and files that do not belong."""
    arrays, _ = load("misc")
    labels = []
    for i in range(10):
        for folder, key in (("images", "ds_images"), ("masks", "ds_masks")):
            path = tmp_path / folder / photo_name(i)
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(arrays[key][i]).save(path)
        values = arrays["ds_labels"][i].tolist()
        labels.append([photo_name(i), [str(x) for x in values] if i % 2 else values])
    (tmp_path / "images" / "dataset.json").write_text(json.dumps({"labels": [*labels, ["gone.png", [0.0] * 25]]}))
    (tmp_path / "images" / "readme.txt").write_text("no image")
    (tmp_path / "images" / ".hidden.png").write_bytes(b"no image either")
    return tmp_path


def zipped(root: Path, name: str) -> Path:
    """The same files as a stored zip archive."""
    with zipfile.ZipFile(root / f"{name}.zip", "w") as archive:
        for path in sorted((root / name).rglob("*")):
            archive.write(path, path.relative_to(root / name).as_posix())
    return root / f"{name}.zip"


def opened(root: Path, **settings: float) -> PhotoDataset:
    return PhotoDataset(*dataset_paths(root), SelectionConfig(**settings))  # type: ignore[arg-type]


@pytest.mark.parametrize("case", range(6))
@pytest.mark.parametrize("archived", [False, True])
def test_items_are_golden(root: Path, case: int, archived: bool) -> None:
    arrays, meta = load("misc")
    settings = {OURS[name]: value for name, value in meta["dataset_settings"][case].items()}
    images, masks = (zipped(root, name) if archived else root / name for name in ("images", "masks"))
    data = PhotoDataset(images, masks, SelectionConfig(**settings), cache=True)
    np.testing.assert_array_equal(data.selection.photo, arrays[f"ds{case}_raw_idx"])
    np.testing.assert_array_equal(data.selection.flipped, arrays[f"ds{case}_xflip"])
    items = [data[i] for i in range(len(data))]
    statistics = [
        [x.double().mean() if whole else x[0, 0, 0] for x in (item.image, item.mask) for whole in (True, False)]
        for item in items
    ]
    assert_close("misc", f"ds{case}_img_mean", np.asarray(statistics, dtype=np.float64))
    assert_close("misc", f"ds{case}_labels", torch.stack([item.label for item in items]))
    assert_close("misc", f"ds{case}_get_label", torch.stack([data.label(i) for i in range(len(data))]))


def test_pixels_and_labels_arrive_unchanged(root: Path) -> None:
    arrays, _ = load("misc")
    data = opened(root)
    for i in range(10):
        item, photo = data[i], data.selection.photo[i]
        np.testing.assert_array_equal(item.image.permute(1, 2, 0), arrays["ds_images"][photo])
        np.testing.assert_array_equal(item.mask[0], arrays["ds_masks"][photo])
        np.testing.assert_array_equal(item.label, arrays["ds_labels"][photo])
    assert data.resolution == 32
    assert_close("misc", "ds_label_std", data.label_std())


def test_mirrored_items_mirror_everything(root: Path) -> None:
    data = opened(root, mirror=True)
    for i in range(10):
        item, other = data[i], data[i + 10]
        assert torch.equal(item.image.flip(2), other.image)
        assert torch.equal(item.mask.flip(2), other.mask)
        changed = torch.ones(25)
        changed[[1, 2, 3, 4, 8]] = -1
        assert torch.equal(item.label * changed, other.label)
        # The original draws cameras for generated heads without flipping them.
        assert torch.equal(data.label(i + 10), item.label)


def test_only_back_views_work(root: Path) -> None:
    data = opened(root, min_yaw_deg=100, back_repeat=2)
    assert data.selection.photo.tolist() == BACK * 2
    assert torch.equal(data[4].image, data[1].image)


def test_limits_are_part_of_the_range(root: Path) -> None:
    # Photo 0 looks at yaw 0 exactly.
    assert opened(root, max_yaw_deg=0).selection.photo.tolist() == [0]


def test_max_size_keeps_the_order(root: Path) -> None:
    whole = opened(root, back_repeat=3).selection.photo.tolist()
    few, other = (opened(root, back_repeat=3, max_size=9, seed=seed).selection.photo.tolist() for seed in (0, 1))
    assert len(few) == 9
    assert few != other
    remaining = iter(whole)
    assert all(photo in remaining for photo in few), "not a subsequence"


def test_cached_and_fresh_images_agree(root: Path) -> None:
    fresh = opened(root, mirror=True)
    cached = PhotoDataset(*dataset_paths(root), SelectionConfig(mirror=True), cache=True)
    cached.preload()
    for file in (root / "images").rglob("*.png"):
        file.write_bytes(b"")
    with pytest.raises(PanoHeadError, match=r"img0000000\d\.png as an image"):
        fresh[3]
    assert cached[3].image.any()
    assert torch.equal(cached[13].image, cached[3].image.flip(2))


def test_batches_stack_items(root: Path) -> None:
    data = opened(root, mirror=True)
    batch = data.batch([3, 12])
    assert batch.image.shape == (2, 3, 32, 32)
    assert batch.mask.shape == (2, 1, 32, 32)
    assert torch.equal(batch.label[1], data[12].label)
    loader = torch.utils.data.DataLoader(data, batch_size=4, collate_fn=collate)
    assert torch.equal(next(iter(loader)).image, data.batch(range(4)).image)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forked workers")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_zips_survive_copies_to_other_processes(root: Path) -> None:
    data = PhotoDataset(zipped(root, "images"), zipped(root, "masks"))
    copy = pickle.loads(pickle.dumps(data))
    assert torch.equal(copy[7].image, data[7].image)
    loader = torch.utils.data.DataLoader(
        data, batch_size=5, collate_fn=collate, num_workers=2, multiprocessing_context="fork"
    )
    images = torch.cat([batch.image for batch in loader])
    assert torch.equal(images, data.batch(range(10)).image)


def test_gray_photos_and_one_bit_masks_are_welcome(root: Path) -> None:
    image, mask = root / "images" / photo_name(0), root / "masks" / photo_name(0)
    Image.open(image).convert("L").save(image)
    Image.open(mask).convert("1").save(mask)
    item = opened(root)[0]
    assert torch.equal(item.image[0], item.image[2])
    assert set(item.mask.unique().tolist()) <= {0, 255}


def test_masks_may_be_of_another_image_type(root: Path) -> None:
    mask = root / "masks" / photo_name(4)
    before = opened(root).batch(range(10)).mask
    Image.open(mask).save(mask.with_suffix(".webp"), lossless=True)
    mask.unlink()
    assert torch.equal(opened(root).batch(range(10)).mask, before)


def _break_label(values: object) -> Callable[[Path], None]:
    def apply(root: Path) -> None:
        file = root / "images" / "dataset.json"
        labels = json.loads(file.read_text())["labels"]
        labels[2][1] = values
        file.write_text(json.dumps({"labels": labels}))

    return apply


def _write(name: str, content: bytes) -> Callable[[Path], object]:
    return lambda root: (root / name).write_bytes(content)


def _resize(name: str, size: tuple[int, int]) -> Callable[[Path], None]:
    return lambda root: Image.open(root / name).resize(size).save(root / name)


CAMERA = np.eye(4).flatten().tolist() + [0.0] * 9
LABELS = "images/dataset.json"
THIRD, THIRD_MASK = f"images/{photo_name(2)}", f"masks/{photo_name(2)}"


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (lambda root: (root / LABELS).unlink(), "dataset.json is missing"),
        (_write(LABELS, b"{"), "dataset.json is not of the form"),
        (_write(LABELS, b'{"labels": null}'), "dataset.json is not of the form"),
        (_write(LABELS, b'{"labels": [["a", [1], 2]]}'), "dataset.json is not of the form"),
        (_write(LABELS, b'{"labels": []}'), "no label for 10 of 10 images, such as 00000/img00000000.png, "),
        (_break_label(CAMERA[:24]), "img00000002.png in .* must be 25 finite numbers"),
        (_break_label([*CAMERA[:24], "nan"]), "must be 25 finite numbers"),
        (_break_label([*CAMERA[:24], 1e300]), "must be 25 finite numbers"),
        (_break_label([*CAMERA[:24], "x"]), "not a list of numbers"),
        (_break_label(None), "not a list of numbers"),
        (_break_label([0.0] * 25), "img00000002.png in .* no camera"),
        (lambda root: (root / THIRD_MASK).unlink(), "masks has no mask for 00000/img00000002.png;"),
        (_write(THIRD, b"\x89PNG\r\n\x1a\n\0\0"), "cannot read .*images/00000/img00000002.png as an image"),
        (_resize(THIRD, (16, 16)), "images/00000/img00000002.png has 16 x 16 pixels instead of 32 x 32"),
        (_resize(THIRD_MASK, (32, 16)), "masks/00000/img00000002.png has 32 x 16 pixels"),
        (_resize(f"images/{photo_name(0)}", (20, 16)), "has 20 x 16 pixels instead of 20 x 20"),
        (lambda root: Image.new("I;16", (32, 32)).save(root / THIRD), "img00000002.png is of Pillow mode I;16"),
        (
            lambda root: Image.new("RGBA", (32, 32)).save(root / THIRD_MASK),
            "img00000002.png cannot be used: it is empty",
        ),
    ],
)
def test_errors_name_the_file(root: Path, break_it: Callable[[Path], object], message: str) -> None:
    break_it(root)
    with pytest.raises(PanoHeadError, match=message):
        opened(root).batch(range(10))


def test_missing_or_odd_places_are_told(root: Path) -> None:
    with pytest.raises(PanoHeadError, match="nowhere does not exist"):
        PhotoDataset(root / "nowhere", root / "masks")
    with pytest.raises(PanoHeadError, match=r"neither a folder nor a \.zip"):
        PhotoDataset(root / THIRD, root / "masks")
    (root / "empty").mkdir()
    with pytest.raises(PanoHeadError, match="empty holds no images"):
        PhotoDataset(root / "empty", root / "masks")
    with pytest.raises(PanoHeadError, match=r"must hold images/ and masks/"):
        dataset_paths(root / "images")
    (root / "broken.zip").write_bytes(b"PK")
    with pytest.raises(PanoHeadError, match=r"broken\.zip .*give a folder or a whole zip"):
        PhotoDataset(root / "broken.zip", root / "masks")


def test_a_damaged_archive_names_the_file(root: Path) -> None:
    path = zipped(root, "images")
    with zipfile.ZipFile(path) as archive:
        offset = archive.getinfo(photo_name(2)).header_offset
    content = bytearray(path.read_bytes())
    content[offset + 120] ^= 0xFF
    path.write_bytes(content)
    data = PhotoDataset(path, root / "masks")
    with pytest.raises(PanoHeadError, match=r"images\.zip/00000/img00000002\.png .*damaged"):
        data[2]


def test_an_empty_selection_says_so(root: Path) -> None:
    with pytest.raises(PanoHeadError, match=r"none of the 10 photos has \|yaw\| of 179\.5 to 180"):
        opened(root, min_yaw_deg=179.5)
