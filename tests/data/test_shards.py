"""WebDataset shards: what a folder holds, and damage told by name."""

import io
import json
import shutil
import tarfile
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from data.small_photos import photo_name, write_photos, zipped
from panohead.data.dataset import PhotoDataset, open_dataset
from panohead.data.selection import SelectionConfig
from panohead.data.tools.write_shards import write_shards
from panohead.errors import PanoHeadError

SHARD_MB = 0.012
"""Small enough for several shards."""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_photos(tmp_path / "folder")


@pytest.fixture
def shards(root: Path) -> list[Path]:
    return write_shards(root, root.parent / "shards", shard_mb=SHARD_MB)


def assert_equal(one: PhotoDataset, other: PhotoDataset) -> None:
    assert one.names == other.names
    assert len(one) == len(other)
    a, b = one.batch(range(len(one))), other.batch(range(len(other)))
    assert all(torch.equal(getattr(a, name), getattr(b, name)) for name in ("image", "mask", "label"))


@pytest.mark.parametrize("place", ["shards", "folder", "one"])
def test_shards_hold_what_the_folder_holds(root: Path, place: str) -> None:
    out = root.parent / "out"
    paths = write_shards(
        root, out / "shards" if place == "folder" else out, shard_mb=64 if place == "one" else SHARD_MB
    )
    assert len(paths) == (1 if place == "one" else 4)
    selection = SelectionConfig(back_repeat=3, mirror=True)
    assert_equal(open_dataset(paths[0] if place == "one" else out, selection), open_dataset(root, selection))


def test_images_are_copied_byte_for_byte_and_shards_are_reproducible(root: Path, shards: list[Path]) -> None:
    contents = {}
    for path in shards:
        with tarfile.open(path) as archive:
            contents |= {member.name: archive.extractfile(member).read() for member in archive}  # type: ignore[union-attr]
    for number in range(12):
        name = photo_name(number)
        key = name.removesuffix(".png")
        assert contents[f"{key}.png"] == (root / "images" / name).read_bytes()
        assert contents[f"{key}.mask.png"] == (root / "masks" / name).read_bytes()
    listed = dict(json.loads((root / "images" / "dataset.json").read_text())["labels"])
    label = json.loads(contents["00000/003.json"])["label"]
    assert np.array_equal(np.float32(label), np.float32(listed[photo_name(3)]))
    again = write_shards(root, root.parent / "again", shard_mb=SHARD_MB)
    assert [path.read_bytes() for path in again] == [path.read_bytes() for path in shards]
    assert not list(shards[0].parent.glob(".*"))


def test_shards_are_no_larger_than_asked(root: Path, shards: list[Path]) -> None:
    # The end of a tar archive is padded to 20 blocks.
    assert all(path.stat().st_size <= SHARD_MB * 1e6 + 10240 for path in shards)
    assert all(one.name < other.name for one, other in pairwise(shards))


def test_zips_can_be_converted_and_shards_again(root: Path, shards: list[Path]) -> None:
    from_zips = write_shards(zipped(root, "images"), root.parent / "a", masks=zipped(root, "masks"), shard_mb=SHARD_MB)
    from_shards = write_shards(shards[0].parent, root.parent / "b", shard_mb=SHARD_MB)
    expected = [path.read_bytes() for path in shards]
    assert [path.read_bytes() for path in from_zips] == expected
    assert [path.read_bytes() for path in from_shards] == expected


def test_progress_counts_samples(root: Path) -> None:
    calls: list[tuple[int, int]] = []
    write_shards(
        root, root.parent / "out", shard_mb=SHARD_MB, on_progress=lambda done, total: calls.append((done, total))
    )
    assert calls[-1] == (12, 12)
    assert len(calls) == 4


def add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    archive.addfile(info, io.BytesIO(content))


def image(side: int, mode: str, suffix: str) -> bytes:
    content = io.BytesIO()
    image = Image.new(mode, (side, side))
    # An empty mask is refused.
    image.paste("white", (0, 0, side // 2, side))
    image.save(content, suffix)
    return content.getvalue()


def test_shards_of_others_are_read(tmp_path: Path, root: Path) -> None:
    """Other suffixes, members that do not belong, long names, folders, and a name with a leading ./ ."""
    label = json.loads((root / "images" / "dataset.json").read_text())["labels"][0][1]
    key = "./" + "x" * 120 + "/photo"
    with tarfile.open(tmp_path / "data.tar", "w") as archive:
        add(archive, f"{key}.json", json.dumps({"label": label, "person": 3}).encode())
        add(archive, f"{key}.JPG", image(8, "RGB", "jpeg"))
        add(archive, f"{key}.mask.webp", image(8, "L", "webp"))
        add(archive, f"{key}.depth.png", image(8, "L", "png"))
        add(archive, "readme", b"nothing")
        add(archive, ".hidden.png", b"nothing")
        folder = tarfile.TarInfo("empty.png")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
    data = open_dataset(tmp_path)
    assert data.names == ("x" * 120 + "/photo.JPG",)
    assert data.resolution == 8
    np.testing.assert_allclose(data[0].label, label, rtol=1e-6)


def test_incomplete_samples_are_told(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "data.tar", "w") as archive:
        add(archive, "a.png", image(8, "RGB", "png"))
    with pytest.raises(PanoHeadError, match=r"has no mask for a\.png"):
        open_dataset(tmp_path)
    with tarfile.open(tmp_path / "data.tar", "a") as archive:
        add(archive, "a.mask.png", image(8, "L", "png"))
    with pytest.raises(PanoHeadError, match=r"the \.json members of .* has no label for a\.png"):
        open_dataset(tmp_path)


def test_dots_in_names_become_underscores(root: Path) -> None:
    for folder in ("images", "masks"):
        (root / folder / photo_name(1)).rename(root / folder / "00000" / "a.b.png")
    file = root / "images" / "dataset.json"
    file.write_text(file.read_text().replace(photo_name(1), "00000/a.b.png"))
    write_shards(root, root.parent / "out")
    data = open_dataset(root.parent / "out")
    expected = open_dataset(root)
    assert data.names[3] == "00000/a_b.png"
    assert torch.equal(data[3].image, expected[3].image)


def test_coinciding_keys_are_refused(root: Path) -> None:
    file = root / "images" / "dataset.json"
    for number, name in ((1, "00000/a.b.png"), (2, "00000/a_b.png")):
        for folder in ("images", "masks"):
            (root / folder / photo_name(number)).rename(root / folder / name)
        file.write_text(file.read_text().replace(photo_name(number), name))
    with pytest.raises(PanoHeadError, match=r"a\.b\.png and 00000/a_b\.png of .* would both get the key 00000/a_b"):
        write_shards(root, root.parent / "out")


def test_shards_are_not_mixed(root: Path, shards: list[Path]) -> None:
    with pytest.raises(PanoHeadError, match="holds a dataset already"):
        write_shards(root, shards[0].parent)


def test_an_unwritable_place_is_told(root: Path) -> None:
    place = root.parent / "occupied"
    place.write_text("a file")
    with pytest.raises(PanoHeadError, match=r"cannot make the folder .*occupied .*; choose another place"):
        write_shards(root, place)


def test_a_failed_shard_leaves_nothing(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tarfile.TarFile, "addfile", fail)
    with pytest.raises(PanoHeadError, match="No space left on device"):
        write_shards(root, root.parent / "out")
    assert not list((root.parent / "out").iterdir())


def _cut(inside: int = 0, beyond: int | None = None) -> Callable[[list[Path], int], object]:
    """Keep so many bytes of the second shard, or so many more than its first member takes."""

    def apply(shards: list[Path], second: int) -> None:
        content = shards[1].read_bytes()
        shards[1].write_bytes(content[: inside if beyond is None else second + beyond])

    return apply


def _overwrite(offset: int | None, content: bytes) -> Callable[[list[Path], int], object]:
    """Put other bytes at the offset or, for None, at the second member of the second shard."""

    def apply(shards: list[Path], second: int) -> None:
        whole = bytearray(shards[1].read_bytes())
        begin = second if offset is None else offset
        whole[begin : begin + len(content)] = content
        shards[1].write_bytes(whole)

    return apply


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_cut(0), r"000001-of-000004\.tar is damaged or cut off after its beginning"),
        (_cut(300), r"cut off after its beginning"),
        (_cut(700), r"cut off after 00000/003\.png"),
        (_cut(beyond=0), r"cut off after 00000/003\.png"),
        (_cut(beyond=100), r"cut off after 00000/003\.png"),
        (_overwrite(None, b"\xff" * 100), r"damaged or cut off after 00000/003\.png \(neither a header"),
        (_overwrite(0, b"\x1f\x8b" * 300), r"000001-of-000004\.tar is damaged or cut off after its beginning"),
        (lambda shards, _: shards[2].unlink(), r"lacks 1 of the 4 shards photos-\*\.tar, the first being number 2"),
        (
            lambda shards, _: shutil.copy(shards[0], shards[0].with_name("z.tar")),
            r"z\.tar/00000/000\.png have the same key",
        ),
    ],
)
def test_damage_is_told(shards: list[Path], damage: Callable[[list[Path], int], object], message: str) -> None:
    with tarfile.open(shards[1]) as archive:
        first, second = list(archive)[:2]
    assert first.name == "00000/003.png"
    damage(shards, second.offset)
    with pytest.raises(PanoHeadError, match=message):
        open_dataset(shards[0].parent)


def test_a_shard_that_changes_while_it_is_read_is_told(shards: list[Path]) -> None:
    data, other = open_dataset(shards[0].parent), open_dataset(shards[0].parent)
    index = data.selection.photo.tolist().index(3)
    shards[1].write_bytes(shards[1].read_bytes()[:700])
    with pytest.raises(PanoHeadError, match=r"000001-of-000004\.tar/00000/003\.png is cut off \(\d+ of \d+ bytes\)"):
        data[index]
    shards[1].unlink()
    with pytest.raises(PanoHeadError, match=r"000001-of-000004\.tar/00000/003\.png \(No such file"):
        other[index]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", r"data\.tar/a\.json is not of the form"),
        (b"[]", r"data\.tar/a\.json is not of the form"),
        (b'{"label": [1]}', r"label of a\.png in the \.json members of .* must be 25 finite numbers"),
    ],
)
def test_odd_labels_are_told(tmp_path: Path, content: bytes, message: str) -> None:
    with tarfile.open(tmp_path / "data.tar", "w") as archive:
        add(archive, "a.png", image(8, "RGB", "png"))
        add(archive, "a.mask.png", image(8, "L", "png"))
        add(archive, "a.json", content)
    with pytest.raises(PanoHeadError, match=message):
        open_dataset(tmp_path)
