"""Masks that are wrong in any way, and right ones of all kinds of files."""

import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data.small_photos import photo_name, write_photos
from panohead.cli.main import main
from panohead.data.dataset import open_dataset
from panohead.data.masks import (
    MaskedImage,
    agreement,
    aspect_problem,
    mask_problem,
    masks_of_others,
    read_mask,
    sample_problem,
    turned_mask,
    turned_masks,
    values_problem,
)
from panohead.errors import PanoHeadError

HEADS = Path(__file__).parents[1] / "training" / "heads"


def oval(x: float = 0.0, size: float = 0.6, side: int = 128) -> np.ndarray:
    across, down = np.meshgrid(*[np.linspace(-1, 1, side)] * 2)
    return ((((across - x) / size) ** 2 + (down / (1.2 * size)) ** 2 < 1) * 255).astype(np.uint8)


def file_of(image: Image.Image, kind: str = "PNG") -> bytes:
    content = io.BytesIO()
    image.save(content, kind)
    return content.getvalue()


def test_right_masks_pass() -> None:
    for mask in (oval(), oval(0.3, 0.4), oval(size=1.0)):
        assert mask_problem(mask) == ""


@pytest.mark.parametrize(
    ("mask", "words"),
    [
        (oval() // 255, "its values are 0 and 1 (truth values, it seems)"),
        (oval() // 255 * 15, "its values are 0 to 15 (numbers of classes, it seems)"),
        (oval() * 0, "it is empty"),
        (oval() * 0 + 255, "it is full"),
        (255 - oval(), "it seems to be inverted (255 for the background)"),
        (oval(1.1, 0.6), "leaves out the middle of the crop"),
        (np.random.default_rng(0).integers(0, 255, (128, 128), dtype=np.uint8), "it seems to be a image"),
        (oval(0.0, 0.05), "nearly empty"),
    ],
)
def test_wrong_masks_are_named_with_their_cause(mask: np.ndarray, words: str) -> None:
    assert words in mask_problem(mask)


def test_masks_are_compared_where_the_photo_is() -> None:
    """Beyond the photo there is no mask; a head of which half is missing is no wrong one."""
    mask, inside = oval(size=0.9), np.ones((128, 128))
    mask[:, :70] = 0
    inside[:, :70] = 0
    assert mask_problem(mask, inside) == ""


def test_other_sizes_are_told_by_their_shape() -> None:
    assert aspect_problem((256, 256), (563, 563)) == ""
    assert aspect_problem((100, 151), (200, 301)) == "", "rounded"
    assert "turned by a quarter" in aspect_problem((300, 200), (200, 300))
    assert "of another image" in aspect_problem((300, 300), (200, 300))


@pytest.mark.parametrize("mode", ["L", "1", "P", "RGB", "RGBA", "LA", "I;16"])
def test_masks_come_in_all_kinds_of_files(mode: str) -> None:
    mask = oval(side=32)
    if mode in ("RGBA", "LA"):
        image = Image.new("RGBA", (32, 32), (200, 10, 90, 0))
        image.putalpha(Image.fromarray(mask))
        image = image.convert(mode)
    elif mode == "I;16":
        image = Image.fromarray(mask.astype(np.uint16) * 257)
    else:
        image = Image.fromarray(mask).convert(mode)
    np.testing.assert_array_equal(read_mask(file_of(image), "m.png"), mask)


def test_images_and_other_files_are_no_masks() -> None:
    photo = Image.fromarray(np.random.default_rng(0).integers(0, 255, (16, 16, 3), dtype=np.uint8))
    with pytest.raises(PanoHeadError, match=r"the mask m\.png is a color image"):
        read_mask(file_of(photo), "m.png")
    with pytest.raises(PanoHeadError, match=r"cannot read the mask m\.png as an image"):
        read_mask(b"text", "m.png")
    deep = Image.fromarray((oval(side=16) // 255).astype(np.uint16))
    assert "0 and 1" in values_problem(read_mask(file_of(deep), "m.png")), "16 bits of truth values"


def heads(side: int = 64) -> list[MaskedImage]:
    dataset = open_dataset(HEADS)
    return [
        MaskedImage(
            name,
            np.asarray(Image.fromarray(image).resize((side, side))),
            np.asarray(Image.fromarray(mask).resize((side, side))),
        )
        for name, image, mask, _ in dataset.sampled(24)
    ]


def test_masks_follow_their_own_images() -> None:
    pairs = heads()
    assert len(pairs) >= 16
    assert sample_problem(pairs) == ""
    assert np.median([agreement(pair.mask, pair.image) for pair in pairs]) > 1.5
    swapped = [MaskedImage(a.name, a.image, b.mask) for a, b in zip(pairs, pairs[5:] + pairs[:5], strict=True)]
    assert "seem to belong to others" in masks_of_others(swapped)
    assert "seem to belong to others" in sample_problem(swapped)
    assert masks_of_others(swapped[:2]) == "", "two images are no sample"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda m: m[::-1], "when they are turned upside down"),
        (lambda m: m[:, ::-1], "when they are mirrored"),
    ],
)
def test_masks_that_are_turned_are_noticed(change: Callable[[np.ndarray], np.ndarray], words: str) -> None:
    pairs = heads()
    assert turned_masks(pairs) == ""
    turned = [MaskedImage(pair.name, pair.image, np.ascontiguousarray(change(pair.mask))) for pair in pairs]
    assert words in turned_masks(turned)
    assert turned_masks(turned[:2]) == "", "two images are no sample"


def test_a_single_mask_that_is_turned_is_doubted() -> None:
    pairs = heads()
    assert [turned_mask(pair.mask, pair.image) for pair in pairs] == [""] * len(pairs)
    for change, words in ((lambda m: m[::-1], "upside down"), (lambda m: m[::-1, ::-1], "by 180 degrees")):
        said = [turned_mask(np.ascontiguousarray(change(pair.mask)), pair.image) for pair in pairs]
        assert np.mean([text != "" for text in said]) > 0.9
        assert any(f"fits it better when it is turned {words}" in text for text in said)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda mask: mask.point(lambda v: v // 255), "0 and 1 (truth values"),
        (lambda mask: mask.point(lambda v: 0), "it is empty"),
        (lambda mask: mask.point(lambda v: 255), "it is full"),
        (lambda mask: mask.resize((32, 32)), "32 x 32 pixels instead of 64 x 64"),
        (lambda mask: mask.transpose(Image.Transpose.FLIP_TOP_BOTTOM), "turned upside down"),
    ],
)
@pytest.mark.filterwarnings("ignore:.*the next readable photo takes its place:RuntimeWarning")
def test_the_check_of_a_dataset_refuses_what_training_does(
    spoil: Callable[[Image.Image], Image.Image], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "data"
    for part in ("images", "masks"):
        with zipfile.ZipFile(HEADS / f"{part}.zip") as archive:
            archive.extractall(root / part)
    assert main(["dataset", "check", str(root)]) == 0
    files = sorted((root / "masks").rglob("*.png"))
    spoil(Image.open(files[0])).save(files[0])
    assert main(["dataset", "check", str(root)]) == 0, "training puts another in its place"
    for file in files[1:]:
        spoil(Image.open(file)).save(file)
    assert main(["dataset", "check", str(root)]) == 1
    said = capsys.readouterr()
    assert words in " ".join((said.out + said.err).split())


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda m: m * 0, "it is empty"),
        (lambda m: m * 0 + 1, "it is full|0 and 1"),
        (lambda m: (m > 100) * 1, "0 and 1"),
    ],
)
def test_training_refuses_masks_of_other_values(tmp_path: Path, spoil: object, words: str) -> None:
    root = write_photos(tmp_path)
    path = root / "masks" / photo_name(3)
    changed = spoil(np.asarray(Image.open(path)).astype(int))  # type: ignore[operator]
    Image.fromarray(changed.astype(np.uint8)).save(path)
    data = open_dataset(root)
    with pytest.raises(PanoHeadError, match=rf"the mask .*{photo_name(3)} cannot be used: .*({words})"):
        data.batch(range(len(data)))
