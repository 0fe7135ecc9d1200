"""Photos that end in the head, masks that are wrong, masks in zips: without MediaPipe."""

import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from panohead.alignment.pose_file import GivenPose
from panohead.data.labels import listed_corners, read_labels_file
from panohead.data.layout import open_layout
from panohead.data.tools.convert import convert_dataset
from panohead.data.tools.write_shards import write_shards
from panohead.geometry.camera import Camera
from panohead.inversion.labels import read_corners
from panohead.inversion.load_photos import read_images
from panohead.preparation.records import PhotoRecord
from panohead.preparation.run import prepare
from panohead.preparation.settings import PrepareSettings

Folder = Callable[[int], Path]
Settings = Callable[..., PrepareSettings]
AT_THE_EDGE = (-40.0, 60.0, 120.0, 250.0)


def crop_records(out: Path) -> list[PhotoRecord]:
    return [PhotoRecord.from_json(json.loads(line)) for line in (out / "prepare.jsonl").read_text().splitlines()]


@pytest.fixture
def cut(photo_folder: Folder, settings_for: Settings) -> PrepareSettings:
    """A dataset of two photos; the first ends in the middle of the head, whose mask reaches the edge."""
    photos = photo_folder(2)
    mask = np.zeros((320, 320), np.uint8)
    mask[60:260, :110] = 255
    Image.fromarray(mask).save(photos.parent / "own" / "p00.png")
    poses = {
        "p00.png": GivenPose(0.0, 0.0, 0.0, AT_THE_EDGE),
        "p01.png": GivenPose(0.0, 0.0, 0.0, (80.0, 60.0, 240.0, 250.0)),
    }
    settings = settings_for(poses=poses)
    assert prepare([str(photos)], settings, workers=0).accepted == 2
    return settings


def test_what_is_beyond_the_photo_is_in_masks_and_metadata(cut: PrepareSettings) -> None:
    first, second = (record.crops[0] for record in crop_records(cut.out))
    assert any("of the head lies outside the photo (left)" in flag for flag in first.flags)
    assert first.head_outside > 0.1
    assert not any("outside" in flag for flag in second.flags)
    mask = np.asarray(Image.open(cut.out / "masks" / first.mask))
    corners = dict(json.loads((cut.out / "images" / "dataset.json").read_text())["photo_corners"])
    edge = round(corners[first.image][0][0] * 64)
    assert mask[:, : edge - 1].max() == 0
    assert mask[20:50, edge + 1 : edge + 10].min() > 200
    assert PhotoRecord.from_json(crop_records(cut.out)[0].to_json()) == crop_records(cut.out)[0]


def test_reconstruction_and_other_layouts_know_it_too(cut: PrepareSettings, tmp_path: Path) -> None:
    first = crop_records(cut.out)[0].crops[0]
    image = cut.out / "images" / first.image
    (corners,) = read_corners(cut.out / "images" / "dataset.json", [image])
    assert corners is not None
    (photo,) = read_images([image], [Camera.orbit()], 64, corners=[corners])
    assert photo.inside is not None
    assert photo.inside[0, 32, 0] == 0
    convert_dataset(cut.out, tmp_path / "zips", "zip", renumber=True)
    write_shards(cut.out, tmp_path / "shards")
    for place in (tmp_path / "zips", tmp_path / "shards"):
        (same,) = [
            values
            for values in listed_corners(read_labels_file(open_layout(place)[0]), "").values()
            if values[0][0] > 0
        ]
        np.testing.assert_allclose(same, corners)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda mask: mask // 255, "its values are 0 and 1"),
        (lambda mask: 255 - mask, "its own mask is wrong: it leaves out the middle of the crop"),
        (lambda mask: mask[:200], "it has 320 x 200 pixels and the image 320 x 320"),
        (lambda mask: mask * 0, "it is empty"),
    ],
)
def test_wrong_masks_of_the_users_are_named(
    photo_folder: Folder, settings_for: Settings, spoil: Callable[[np.ndarray], np.ndarray], words: str
) -> None:
    photos = photo_folder(2)
    path = photos.parent / "own" / "p00.png"
    Image.fromarray(spoil(np.asarray(Image.open(path)))).save(path)
    settings = settings_for()
    assert prepare([str(photos)], settings, workers=0).accepted == 1
    assert words in " ".join(crop_records(settings.out)[0].reasons)


def test_masks_in_a_zip_are_those_of_the_folder(photo_folder: Folder, settings_for: Settings, tmp_path: Path) -> None:
    photos = photo_folder(2)
    with zipfile.ZipFile(tmp_path / "own.zip", "w") as archive:
        for path in sorted((tmp_path / "own").iterdir()):
            archive.write(path, f"deep/{path.stem}_mask.png")
    folder, archived = settings_for("a"), settings_for("b", masks=tmp_path / "own.zip")
    for settings in (folder, archived):
        assert not [note for note in prepare([str(photos)], settings, workers=0).notes if "mask" in note]
    for a, b in zip(crop_records(folder.out), crop_records(archived.out), strict=True):
        mask = a.crops[0].mask
        assert (folder.out / "masks" / mask).read_bytes() == (archived.out / "masks" / b.crops[0].mask).read_bytes()


def test_photos_without_a_mask_are_told(photo_folder: Folder, settings_for: Settings) -> None:
    pytest.importorskip("mediapipe", exc_type=ImportError)
    photos = photo_folder(2)
    (photos.parent / "own" / "p01.png").rename(photos.parent / "own" / "other.png")
    (note,) = [note for note in prepare([str(photos)], settings_for(), workers=0).notes if "mask" in note]
    assert "1 of 2 photos have no mask in" in note
    assert "(photos/p01.png; it holds other.png, p00.png)" in note
