"""Two editions: the first keeps the bytes it had before editions were recorded, the second is what new folders get."""

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from panohead.errors import PanoHeadError
from panohead.synthetic.config import SyntheticDatasetConfig
from panohead.synthetic.layout_writer import edition_of, open_dataset
from panohead.synthetic.synthesize import synthesize
from panohead.training.warm_start.multiview import load_multiview

STORED = Path(__file__).parent / "edition_1"  # rendered by the commit before editions (34561ea)
SAME_EVERYWHERE = ("images/dataset.json", "people.jsonl", "synthesis.json")


def first_edition(out: Path, people: int = 2) -> SyntheticDatasetConfig:
    return SyntheticDatasetConfig.of_edition(
        1, people=people, out=out, views=2, resolution=48, seed=5, depth=True, normals=True, format="png"
    )


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("first") / "d"
    list(synthesize(first_edition(out)))
    return out


@pytest.fixture(scope="module")
def second(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("second") / "d"
    list(synthesize(SyntheticDatasetConfig(people=1, out=out, views=2, resolution=24, seed=5, light="per-view")))
    return out


def hashes(folder: Path) -> dict[str, str]:
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def test_the_first_edition_keeps_its_bytes(rendered: Path) -> None:
    """Settings, people and cameras on every machine; pixels where the libraries are those of the stored render, else to
    within what rounding may turn."""
    stored: dict[str, str] = json.loads((STORED / "sha256.json").read_text())
    found = hashes(rendered)
    assert found.keys() == stored.keys()
    for name in SAME_EVERYWHERE:
        assert found[name] == stored[name], name
    if found == stored:
        return
    for path in sorted(STORED.glob("*.png")):
        with Image.open(path) as before, Image.open(rendered / "images" / "00000" / path.name) as now:
            away = np.abs(np.asarray(before).astype(int) - np.asarray(now).astype(int)).max(-1)
        assert (away > 2).mean() < 0.005, path.name


def test_a_folder_without_an_edition_goes_on_as_the_first(rendered: Path, tmp_path: Path) -> None:
    out = tmp_path / "old"
    shutil.copytree(rendered, out)
    assert "edition" not in json.loads((out / "synthesis.json").read_text())
    assert edition_of(out) == 1
    assert edition_of(tmp_path / "nothing here") == 2
    assert set(open_dataset(first_edition(out))) == {0, 1}
    newer = SyntheticDatasetConfig(
        people=2, out=out, views=2, resolution=48, seed=5, depth=True, normals=True, format="png"
    )
    with pytest.raises(PanoHeadError, match="was begun with edition 1; leave --edition away"):
        open_dataset(newer)


def test_unreadable_settings_are_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "synthesis.json").write_text('{"edition": "newest"}')
    with pytest.raises(PanoHeadError, match=r"synthesis\.json is not of the form .*edition: expected int"):
        edition_of(tmp_path)


@pytest.mark.parametrize("changes", [{"expressions": 2}, {"light": "per-person"}])
def test_the_first_edition_has_one_expression_and_a_light_a_view(tmp_path: Path, changes: dict[str, object]) -> None:
    with pytest.raises(PanoHeadError, match="edition 1 has one expression"):
        SyntheticDatasetConfig.of_edition(1, people=1, out=tmp_path, **changes)


@pytest.mark.parametrize("changes", [{"edition": 3}, {"expressions": 0}, {"expressions": 13, "views": 8}])
def test_what_no_edition_has_is_one_sentence(tmp_path: Path, changes: dict[str, int]) -> None:
    with pytest.raises(PanoHeadError, match="give"):
        SyntheticDatasetConfig(**({"people": 1, "out": tmp_path} | changes))


def test_the_second_edition_is_recorded_with_what_it_adds(second: Path) -> None:
    settings = json.loads((second / "synthesis.json").read_text())
    assert (settings["edition"], settings["expressions"], settings["light"]) == (2, 2, "per-view")
    assert edition_of(second) == 2


def test_shots_name_their_images_and_images_their_shot(second: Path) -> None:
    line = json.loads((second / "people.jsonl").read_text())
    assert [view["shot"] for view in line["views"]] == [0, 0, 1, 1]
    for k, shot in enumerate(line["shots"]):
        assert {"expression", "gaze", "strong", "views"} == set(shot)
        assert shot["views"] == [view["image"] for view in line["views"] if view["shot"] == k]
    assert line["shots"][0]["expression"] == line["expression"]
    assert line["shots"][0]["expression"] != line["shots"][1]["expression"]
    assert line["shots"][0]["gaze"] != line["shots"][1]["gaze"]


def test_light_is_shared_only_where_asked(second: Path, tmp_path: Path) -> None:
    def lights(folder: Path) -> set[str]:
        line = json.loads((folder / "people.jsonl").read_text())
        return {json.dumps(view["lighting"]) for view in line["views"]}

    list(synthesize(SyntheticDatasetConfig(people=1, out=tmp_path / "d", views=2, resolution=24, seed=5)))
    assert len(lights(second)) == 4
    assert len(lights(tmp_path / "d")) == 1


def test_the_reader_of_the_warm_start_takes_all_shots_as_one_person(second: Path) -> None:
    data = load_multiview(second, 24)
    assert data.person.tolist() == [0, 0, 0, 0]
    assert data.images.shape == (4, 3, 24, 24)
