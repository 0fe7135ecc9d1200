"""Names matched one way everywhere."""

import zipfile
from pathlib import Path

import pytest
from PIL import Image

from data.small_photos import photo_name, write_photos, zipped
from panohead.alignment.photo_mask import find_own_mask, forget_own_masks
from panohead.data.dataset import open_dataset
from panohead.data.names import NameIndex, match_names
from panohead.errors import PanoHeadError
from panohead.inversion.load_photos import find_masks


@pytest.mark.parametrize(
    ("offered", "wanted", "expected"),
    [
        (["a.png", "b.png"], "a.jpg", "a.png"),
        (["A.PNG"], "a.jpeg", "A.PNG"),
        (["00000/1.png"], "1.webp", "00000/1.png"),
        (["1.png"], "00000/1.webp", "1.png"),
        (["a_1.png"], "a/1.png", "a_1.png"),
        (["masks/1.png"], "images/1.png", "masks/1.png"),
        (["1_mask.png", "2_mask.png"], "x/1.jpg", "1_mask.png"),
        (["mask_1.png"], "1.png", "mask_1.png"),
        (["1-alpha.png"], "1.png", "1-alpha.png"),
        (["1.jpg.png"], "1.jpg", "1.jpg.png"),
        (["a\\1.png"], "a/1.png", "a\\1.png"),
        (["./a/1.png"], "a/1.png", "./a/1.png"),
        (["u\u0308.png"], "\u00fc.jpg", "u\u0308.png"),
        (["b/1.png", "a/1.png"], "photos/a/1.jpg", "a/1.png"),
        (["1.png", "a/1.png"], "a/1.jpg", "a/1.png"),
        (["a.b.png"], "a.b.jpg", "a.b.png"),
        (["b/1.png"], "a/1.png", None),
        (["a/1.png", "b/1.png"], "1.png", None),
        (["1.png", "1.bmp"], "1.jpg", None),
        (["11.png"], "1.png", None),
        (["a.png"], "ab.png", None),
        ([], "a.png", None),
    ],
)
def test_names_that_belong_together(offered: list[str], wanted: str, expected: str | None) -> None:
    assert NameIndex(offered).find(wanted) == expected


def test_the_error_names_both_sides() -> None:
    with pytest.raises(PanoHeadError) as caught:
        match_names(["a.png", "b.png", "c.png", "d.png", "e.png"], ["a.png", "x.png", "y.png", "z.png"], "mask", "M")
    sentence = str(caught.value)
    assert "M has no mask for 4 of 5 images, such as b.png, c.png, d.png and 1 more" in sentence
    assert "its masks are called a.png, x.png, y.png and 1 more" in sentence
    with pytest.raises(PanoHeadError, match="it holds no mask at all"):
        match_names(["a.png"], [], "mask", "M")


def test_one_file_for_two_images_is_refused() -> None:
    with pytest.raises(PanoHeadError, match=r"the mask 1\.png fits a/1\.png, b/1\.png alike"):
        match_names(["a/1.png", "b/1.png"], ["1.png"], "mask", "M")
    assert match_names(["1.png", "1.jpg"], ["1.bmp"], "mask", "M") == ["1.bmp", "1.bmp"]


def test_flat_masks_of_datasets_are_found_in_folders_and_zips(tmp_path: Path) -> None:
    root = write_photos(tmp_path / "data")
    expected = open_dataset(root)[3].mask
    for number in range(12):
        path = root / "masks" / photo_name(number)
        path.rename(root / "masks" / f"{path.stem}_mask.png")
    assert (open_dataset(root)[3].mask == expected).all()
    archive = zipped(root, "masks")
    assert (open_dataset(root / "images", masks=archive)[3].mask == expected).all()


def test_own_masks_are_found_inside_zips_as_in_folders(tmp_path: Path) -> None:
    mask = Image.new("L", (8, 8))
    mask.paste(255, (2, 2, 6, 6))
    (tmp_path / "masks").mkdir()
    mask.save(tmp_path / "masks" / "me_mask.png")
    with zipfile.ZipFile(tmp_path / "masks.zip", "w") as archive:
        archive.write(tmp_path / "masks" / "me_mask.png", "deep/me_mask.png")
    forget_own_masks()
    for place in (tmp_path / "masks", tmp_path / "masks.zip"):
        found = find_own_mask(place, "photos/me.jpg")
        assert found is not None
        assert found.read().max() == 255
        (same,) = find_masks(place, [Path("photos/me.jpg")])
        assert (same == found.read()).all()
    with pytest.raises(PanoHeadError, match=r"no mask of you\.jpg in .*\(it holds me_mask\.png\); give you\.png there"):
        find_masks(tmp_path / "masks", [Path("you.jpg")])
