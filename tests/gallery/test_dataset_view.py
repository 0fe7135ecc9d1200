"""The page of a dataset: every image with what is known of it, and nothing that a file's texts could turn into code."""

import base64
import io
import itertools
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from data.small_photos import photo_name, spoil, write_photos, zipped
from pages import parse_page
from panohead.cli.main import main
from panohead.data.labels import LABELS_FILE
from panohead.gallery.dataset_view import chosen
from panohead.geometry import Camera
from panohead.reports.head_figures import content_security_policy, viewer_asset

STORED = Path(__file__).parents[1] / "stored"


def view(dataset: Path, *options: str) -> dict[str, Any]:
    """Return what the page gives to its script, by the images' names."""
    assert main(["dataset", "view", str(dataset), *options]) == 0
    page = Path(options[options.index("--out") + 1]) if "--out" in options else dataset / "view.html"
    parsed = parse_page(page.read_text(encoding="utf-8"))
    (images,) = parsed.head_facts()
    return {image["name"]: image for image in images}  # type: ignore[call-overload]


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    return write_photos(tmp_path / "dataset", count=12, side=24)


def test_every_image_has_its_camera_its_copy_and_its_address(dataset: Path) -> None:
    images = view(dataset)
    labels = dict(json.loads((dataset / "images" / LABELS_FILE).read_text())["labels"])
    assert list(images) == [photo_name(number) for number in range(12)]
    for number, (name, image) in enumerate(images.items()):
        assert image["yaw"] == pytest.approx(360 * number / 12 - 170, abs=0.06)
        height = Camera.from_label(torch.tensor(labels[name])).position[1]
        assert (image["pitch"] > 0) == (height > 0)
        assert image["file"] == f"images/{name}"
        assert (dataset / image["file"]).is_file()
        with Image.open(io.BytesIO(base64.b64decode(image["image"]))) as small:
            assert (small.format, small.size) == ("WEBP", (24, 24))
        assert image["flags"] == []


def test_what_is_wrong_is_told(dataset: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spoil(dataset, 2)
    (dataset / "masks" / photo_name(3)).unlink()
    shutil.copy(dataset / "images" / photo_name(5), dataset / "images" / photo_name(6))
    content = json.loads((dataset / "images" / LABELS_FILE).read_text())
    (far,) = [label for name, label in content["labels"] if name == photo_name(8)]
    for place in (3, 7, 11):
        far[place] *= 2  # the camera is twice as far away as all others
    content["labels"] = [row for row in content["labels"] if row[0] != photo_name(9)]
    content["coarse"] = [photo_name(10)]
    (dataset / "images" / LABELS_FILE).write_text(json.dumps(content))
    images = view(dataset)
    wanted = {2: "broken", 3: "no mask", 6: "repeats another", 8: "wrong label", 9: "no camera", 10: "coarse camera"}
    for number in range(12):
        assert images[photo_name(number)]["flags"] == ([wanted[number]] if number in wanted else []), number
    assert "not readable as an image" in images[photo_name(2)]["problem"]
    assert "image" not in images[photo_name(2)]
    assert photo_name(5) in images[photo_name(6)]["problem"]
    assert "something is wrong with 3 of them" in capsys.readouterr().out


def test_attributes_of_synthetic_people(tmp_path: Path) -> None:
    shutil.copytree(STORED / "synthetic", tmp_path / "synthetic")
    people = [json.loads(line) for line in (tmp_path / "synthetic" / "people.jsonl").read_text().splitlines()]
    images = view(tmp_path / "synthetic")
    shown = 0
    for person in people:
        for listed in person["views"]:
            attributes = images[listed["image"]]["attributes"]
            assert attributes["age"] == pytest.approx(person["age"])
            assert attributes["hair_color"] == person["hair_colour"]
            assert attributes["person"] == person["person"]
            shown += 1
    assert shown == len(images) > 0


def test_crops_of_prepare_and_what_was_left_out(tmp_path: Path) -> None:
    folder = tmp_path / "prepared"
    shutil.copytree(STORED / "prepared", folder)
    rows = [json.loads(line) for line in (folder / "prepare.jsonl").read_text().splitlines()]
    overlay = rows[0]["crops"][0]["overlay"]
    (folder / overlay).parent.mkdir(parents=True)
    Image.new("RGB", (40, 30), "red").save(folder / overlay)
    left_out = {**rows[0], "photo": "photos/gone.jpg", "reason": "no head: nothing was found", "overlay": overlay}
    outside = {**rows[1], "photo": "photos/evil.jpg", "reason": "no head: nothing", "crops": []}
    lines = [*rows, {**left_out, "crops": []}, outside]
    (folder / "prepare.jsonl").write_text("\n".join(map(json.dumps, lines)))
    images = view(folder)
    first = images[rows[0]["crops"][0]["image"]]
    assert first["overlay"] == overlay
    assert first["attributes"]["kind"] == "given"
    assert "enlarged" in first["flags"]
    gone = images["photos/gone.jpg"]
    assert gone["flags"] == ["left out", "left out: no head"]
    assert (gone["problem"], gone["overlay"]) == ("no head: nothing was found", overlay)
    assert len(base64.b64decode(gone["image"])) > 30
    assert "image" not in images["photos/evil.jpg"]


def test_names_that_lead_out_of_the_dataset_are_not_followed(dataset: Path, tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "secret.png")
    row = json.loads((STORED / "prepared" / "prepare.jsonl").read_text().splitlines()[0])
    row["crops"][0] |= {"image": photo_name(0), "overlay": "../secret.png"}
    (dataset / "prepare.jsonl").write_text(json.dumps(row))
    images = view(dataset)
    assert "overlay" not in images[photo_name(0)]
    text = (dataset / "view.html").read_text()
    assert "would lead out of the folder" in text, "a note says so"
    assert 'secret.png" ' not in text


def test_archives_have_copies_and_no_addresses(dataset: Path, tmp_path: Path) -> None:
    for name in ("images", "masks"):
        zipped(dataset, name)
        shutil.rmtree(dataset / name)
    images = view(dataset, "--out", str(tmp_path / "page" / "view.html"))
    assert len(images) == 12
    assert all("file" not in image and image["image"] for image in images.values())


def test_a_page_elsewhere_has_no_addresses(dataset: Path, tmp_path: Path) -> None:
    assert all("file" not in image for image in view(dataset, "--out", str(tmp_path / "x" / "v.html")).values())


def test_the_page_executes_its_own_script_only(dataset: Path) -> None:
    evil = "</script><script>alert(1)</script>"
    person = {"person": 0, "hair_style": evil, "age": 3.0, "views": [{"image": photo_name(0)}]}
    (dataset / "people.jsonl").write_text(json.dumps(person))
    images = view(dataset)
    assert images[photo_name(0)]["attributes"]["hair_style"] == evil
    parsed = parse_page((dataset / "view.html").read_text())
    assert parsed.names.count("script") == 2, "the images' facts, and the script"
    policy = content_security_policy(scripts=False, browser=True)
    assert policy in parsed.values("content")
    assert "connect-src" not in policy
    script = viewer_asset("browser.js")
    assert script.strip() == parsed.texts["script"][-1].strip()
    for word in ("innerHTML", "outerHTML", "insertAdjacent", "document.write", "eval", "fetch(", "Function("):
        assert word not in script


@pytest.mark.parametrize(
    ("count", "limit", "wrong"), [(10, 20, 3), (100, 10, 3), (100, 10, 30), (7, 1, 0), (50, 49, 1)]
)
def test_choice_of_images(count: int, limit: int, wrong: int) -> None:
    names = [f"{number:03d}" for number in range(count)]
    problems = dict.fromkeys(names[:: max(1, count // max(wrong, 1))][:wrong], ("", ""))
    found = chosen(names, problems, limit)
    assert found == sorted(set(found))
    assert len(found) == min(count, limit)
    assert set(found) >= set(list(problems)[:limit])
    if count > limit > 2 * wrong > 0:
        gaps = [int(b) - int(a) for a, b in itertools.pairwise(found)]
        assert max(gaps) <= 2 * count / (limit - wrong), "evenly over the dataset"


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [(["--out", "page.txt"], 2, "must end in .html"), (["--limit", "0"], 2, "--limit is 0")],
)
def test_mistakes(dataset: Path, capsys: pytest.CaptureFixture[str], options: list[str], code: int, words: str) -> None:
    assert main(["dataset", "view", str(dataset), *options]) == code
    assert words in capsys.readouterr().err
    assert main(["dataset", "view", str(dataset / "nothing")]) == 1
    assert "does not exist" in capsys.readouterr().err
