"""``panohead dataset``: inspect, check, convert; the original's dataset tool (golden ``tool``)."""

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from panohead.cli.main import main
from panohead.data.label_check import check_labels
from panohead.data.tools.convert import convert_dataset
from panohead.data.tools.dataset import inspect_dataset
from panohead.data.tools.image import pose_image, pose_table
from panohead.geometry.camera import Camera
from parity import golden

YAWS = [-170.0, -60.0, 0.0, 10.0, 30.0, 90.0]


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    labels = []
    for folder in ("images/a", "masks/a"):
        (tmp_path / "data" / folder).mkdir(parents=True)
    for i, yaw in enumerate(YAWS):
        name = f"a/{i}.png"
        Image.fromarray(rng.integers(0, 255, (24, 24, 3), dtype=np.uint8)).save(tmp_path / "data/images" / name)
        Image.fromarray(rng.integers(0, 255, (24, 24), dtype=np.uint8)).save(tmp_path / "data/masks" / name)
        labels.append([name, [round(v, 6) for v in Camera.orbit(yaw, 10.0).to_label().tolist()]])
    (tmp_path / "data/images/dataset.json").write_text(json.dumps({"labels": labels, "coarse": ["a/0.png"]}))
    return tmp_path / "data"


def test_inspection_counts(dataset: Path) -> None:
    found = inspect_dataset(dataset)
    assert (found.photos, found.labeled, found.masked, found.coarse) == (6, 6, 6, 1)
    assert found.balance() == {"front": 3, "side": 2, "back": 1}
    assert found.resolutions == {"24 x 24": 6}
    assert not found.broken
    assert found.advice() == []
    np.testing.assert_allclose(found.angles_deg[:, 0], YAWS, atol=1e-3)
    np.testing.assert_allclose(found.angles_deg[:, 1], 10.0, atol=1e-3)


def test_inspection_names_what_is_wrong(dataset: Path) -> None:
    (dataset / "images/a/1.png").write_bytes((dataset / "images/a/1.png").read_bytes()[:300])
    (dataset / "images/a/3.png").write_bytes((dataset / "images/a/2.png").read_bytes())
    (dataset / "masks/a/4.png").unlink()
    Image.new("RGB", (30, 30)).save(dataset / "images/a/5.png")
    index = json.loads((dataset / "images/dataset.json").read_text())
    del index["labels"][0]
    (dataset / "images/dataset.json").write_text(json.dumps(index))
    found = inspect_dataset(dataset)
    assert (found.labeled, found.masked) == (5, 5)
    assert [name.split("/")[-1] for name in found.broken] == ["1.png", "5.png"]
    assert found.duplicates == {"a/3.png": "a/2.png"}
    advice = " ".join(found.advice())
    for word in ("no camera", "no mask", "broken", "differ in size", "repeat", "nothing shows the back"):
        assert word in advice


def test_pose_table() -> None:
    angles = np.array([[0.0, 0.0], [5.0, 3.0], [-180.0, 59.0], [179.9, -80.0], [180.0, 85.0]])
    table = pose_table(angles)
    assert table.shape == (12, 36)
    assert table[5, 18] == 2
    assert table[0, 0] == 2
    assert table[11, 35] == 1
    assert table.sum() == 5
    assert pose_image(angles).size[0] > 900


def test_labels_are_checked() -> None:
    good = Camera.orbit(40.0, 10.0).to_label().numpy().astype(np.float64)
    assert check_labels(["x"], good[None]) == []
    official = good.copy()
    official[:3] += 0.005
    assert check_labels(["x"], official[None]) == [], "the original's labels are off by up to 0.015"

    def kinds(change: dict[int, float], base: np.ndarray = good) -> set[str]:
        label = base.copy()
        for index, value in change.items():
            label[index] = value
        return {finding.kind for finding in check_labels(["x"], label[None])}

    assert "rotation not orthonormal" in kinds({0: 0.5})
    assert "last row of cam2world" in kinds({15: 0.0})
    assert kinds({3: good[3] * 1.1, 7: good[7] * 1.1, 11: good[11] * 1.1}) == {"radius"}
    assert "camera does not look at the origin" in kinds({3: -good[3]})
    assert kinds({16: 5.0, 20: 5.0}) == {"focal length"}
    assert kinds({18: 0.4}) == {"intrinsics"}
    mirrored = good.copy()
    mirrored[[0, 4, 8]] *= -1
    assert kinds({}, mirrored) == {"rotation mirrored"}
    away = good.copy()
    away[[1, 2, 5, 6, 9, 10]] *= -1
    assert kinds({}, away) == {"camera does not look at the origin"}


@pytest.fixture
def official_case(tmp_path: Path) -> Path:
    """The official tool's input (golden): five images, one without label, one without mask."""
    arrays, meta = golden.load("tool")
    for i, name in enumerate(arrays["in_names"]):
        for folder, pixels in (("images", arrays["in_images"][i]), ("masks", arrays["in_masks"][i])):
            path = tmp_path / "in" / folder / str(name)
            path.parent.mkdir(parents=True, exist_ok=True)
            if not (folder == "masks" and "noseg" in str(name)):
                Image.fromarray(pixels).save(path)
    listed = meta["scale_dataset_json"]
    by_new = dict(listed["labels"])
    labels = [[old, by_new[new]] for new, old in listed["fnames"]]
    labels.append(["noseg.png", labels[0][1]])
    (tmp_path / "in/images/dataset.json").write_text(json.dumps({"labels": labels}))
    return tmp_path / "in"


def test_converting_like_the_original(official_case: Path, tmp_path: Path) -> None:
    arrays, meta = golden.load("tool")
    done = convert_dataset(official_case, tmp_path / "out", "zip", size=32, renumber=True)
    assert done.copied == 3
    assert set(done.left_out) == {"nolabel.png", "noseg.png"}
    for which, folder in (("img", "images"), ("seg", "masks")):
        with zipfile.ZipFile(tmp_path / "out" / f"{folder}.zip") as archive:
            entries = [[info.filename, info.compress_type] for info in archive.infolist()]
            assert sorted(entries) == sorted(meta[f"scale_{which}_entries"])
            names = [name for name, _ in meta[f"scale_{which}_entries"] if name.endswith(".png")]
            images = [np.asarray(Image.open(archive.open(name))) for name in names]
            np.testing.assert_array_equal(images, arrays[f"scale_{folder}"])
    with zipfile.ZipFile(tmp_path / "out" / "images.zip") as archive:
        assert json.loads(archive.read("dataset.json")) == meta["scale_dataset_json"]


def test_layouts_round_trip(dataset: Path, tmp_path: Path) -> None:
    """Folder to zip to folder: the same bytes; and the labels do not change."""
    convert_dataset(dataset, tmp_path / "zipped", "zip")
    convert_dataset(tmp_path / "zipped", tmp_path / "back", "folder")
    for folder in ("images", "masks"):
        for i in range(len(YAWS)):
            name = f"{folder}/a/{i}.png"
            assert (tmp_path / "back" / name).read_bytes() == (dataset / name).read_bytes()
    assert json.loads((tmp_path / "back/images/dataset.json").read_text()) == json.loads(
        (dataset / "images/dataset.json").read_text()
    )
    again = tmp_path / "again"
    convert_dataset(dataset, again, "zip")
    assert (again / "images.zip").read_bytes() == (tmp_path / "zipped/images.zip").read_bytes()


def test_commands(dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dataset", "inspect", str(dataset), "--picture", str(tmp_path / "poses.png")]) == 0
    assert "balance" in capsys.readouterr().out
    with Image.open(tmp_path / "poses.png") as image:
        assert image.width > 900
    assert main(["dataset", "check", str(dataset)]) == 0
    assert main(["dataset", "convert", str(dataset), "--out", str(tmp_path / "z"), "--to", "zip"]) == 0
    assert main(["dataset", "convert", str(dataset), "--out", str(tmp_path / "z"), "--to", "zip"]) == 1
    assert "already" in capsys.readouterr().err
    assert main(["dataset", "convert", str(tmp_path / "z"), "--out", str(tmp_path / "s"), "--to", "shards"]) == 0
    assert main(["dataset", "check", str(tmp_path / "s")]) == 0
    index = json.loads((dataset / "images/dataset.json").read_text())
    index["labels"][2][1][11] = 9.0
    (dataset / "images/dataset.json").write_text(json.dumps(index))
    assert main(["dataset", "check", str(dataset)]) == 1
    said = capsys.readouterr()
    assert "1 labels: radius; for example a/2.png" in said.out
    assert "1 of 6 labels" in said.err
    assert main(["dataset", "inspect", str(tmp_path / "gone")]) == 1
