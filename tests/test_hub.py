"""Models on a hub: names, folders of ``save_pretrained``, one sentence for every failure, nothing fetched unasked."""

import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

import tiny
from panohead import Camera, Predictor, load
from panohead.checkpoint import load_checkpoint, save_checkpoint
from panohead.cli.main import main
from panohead.errors import PanoHeadError, UsageError
from panohead.hub import CARD_FILE, MODEL_FILE, HubName, model_card, parse_hub_name

HEADS = Path(__file__).parent / "training" / "heads"


@pytest.fixture
def predictor(tmp_path: Path) -> Predictor:
    path = tmp_path / "tiny.safetensors"
    save_checkpoint(path, {"G_ema": tiny.generator()}, kimg=3.5, notes={"about": "A | test <b>."})
    return load(path)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, predictor: Predictor) -> dict[str, Any]:
    """A stand-in for huggingface_hub whose one repository is ``me/heads``; records its calls."""
    predictor.save_pretrained(tmp_path / "hub")
    calls: dict[str, Any] = {"downloads": []}
    library = ModuleType("huggingface_hub")

    def hf_hub_download(repository: str, file: str, *, revision: str | None) -> str:
        calls["downloads"].append((repository, file, revision))
        if repository != "me/heads":
            raise OSError(f"404 Client Error.\n\nRepository Not Found for {repository}")
        return str(tmp_path / "hub" / file)

    def upload_folder(**options: Any) -> str:
        calls["uploaded"] = {path.name: path.read_bytes() for path in Path(options["folder_path"]).iterdir()}
        calls["upload"] = options
        return "https://hub/commit/1"

    library.hf_hub_download = hf_hub_download  # type: ignore[attr-defined]
    library.create_repo = lambda name, **options: calls.update(created=(name, options))  # type: ignore[attr-defined]
    library.upload_folder = upload_folder  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "huggingface_hub", library)
    return calls


def image(predictor: Predictor) -> torch.Tensor:
    return predictor.sample(0).render(Camera.orbit(20)).image


def test_a_saved_folder_opens_as_the_same_model(predictor: Predictor, tmp_path: Path) -> None:
    folder = predictor.save_pretrained(tmp_path / "new" / "model")
    assert {path.name for path in folder.iterdir()} == {MODEL_FILE, CARD_FILE}
    again = Predictor.from_pretrained(folder)
    assert torch.equal(image(again), image(predictor))
    assert again.checkpoint is not None
    assert (again.sha256, again.checkpoint.kimg) == (predictor.sha256, 3.5)


def test_files_in_half_precision_stay_so(tmp_path: Path) -> None:
    path = tmp_path / "half.safetensors"
    save_checkpoint(path, {"G_ema": tiny.generator()}, dtype="float16")
    half = load(path)
    saved = half.save_pretrained(tmp_path / "model") / MODEL_FILE
    assert load(saved).sha256 == half.sha256
    assert abs(saved.stat().st_size - path.stat().st_size) < 200


def test_a_tampered_file_is_refused(predictor: Predictor, tmp_path: Path) -> None:
    path = predictor.save_pretrained(tmp_path / "model") / MODEL_FILE
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)
    with pytest.raises(PanoHeadError, match=r"model\.safetensors"):
        Predictor.from_pretrained(path.parent)


def test_models_of_a_hub(hub: dict[str, Any], predictor: Predictor) -> None:
    assert torch.equal(image(load("hf://me/heads")), image(predictor))
    Predictor.from_pretrained("me/heads", revision="v1")
    load("hf://me/heads@0a1b2c/model.safetensors")
    assert hub["downloads"] == [("me/heads", MODEL_FILE, revision) for revision in (None, "v1", "0a1b2c")]
    with pytest.raises(PanoHeadError, match=r"hf://me/other cannot be fetched \(404 Client Error\. Repository Not"):
        load("hf://me/other")


def test_upload(hub: dict[str, Any], predictor: Predictor, tmp_path: Path) -> None:
    assert predictor.push_to_hub("me/heads") == "https://hub/commit/1"
    assert hub["created"] == ("me/heads", {"private": True, "exist_ok": True})
    assert set(hub["uploaded"]) == {MODEL_FILE, CARD_FILE}
    stored = tmp_path / "uploaded.safetensors"
    stored.write_bytes(hub["uploaded"][MODEL_FILE])
    assert load_checkpoint(stored).sha256 == predictor.sha256


def test_the_card_says_what_the_file_knows(predictor: Predictor) -> None:
    assert predictor.checkpoint is not None
    card = model_card(predictor.checkpoint)
    assert card.startswith("---\nlibrary_name: panohead\n")
    assert "| trained images | 3.5 thousand |" in card
    assert f"| SHA-256 of weights and configuration | {predictor.sha256} |" in card
    assert "| about | A \\| test &lt;b>. |" in card


def test_the_card_of_a_run_names_command_data_and_figures(tmp_path: Path) -> None:
    """Without the folders of the machine that it was trained on, which are nobody's business."""
    run = tmp_path / "run"
    words = ["train", "--preset", "tiny", "--data", str(HEADS), "--out", str(run), "--kimg", "0.016"]
    assert main([*words, "--seed", "3", "--set", "metric_ticks=1", "metric_images=4"]) == 0
    predictor = load(next((run / "snapshots").glob("*.safetensors")))
    card = (predictor.save_pretrained(tmp_path / "model") / CARD_FILE).read_text()
    command = "panohead train --preset tiny --data heads --kimg 0.016 --seed 3 --set metric_ticks=1 metric_images=4"
    assert f"| command | {command} |" in card
    assert "| dataset | heads |" in card
    assert "| trained images | 0.016 thousand |" in card
    assert re.search(r"sliced Wasserstein distance .* \| \d\.\d{3} \[", card)
    assert "Images have 32 x 32 pixels" in card
    assert str(tmp_path) not in card
    assert str(HEADS.parent) not in card


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("me/heads", HubName("me/heads")),
        ("hf://me/heads@v1.2", HubName("me/heads", "v1.2")),
        ("hf://me/heads@main/a/b.safetensors", HubName("me/heads", "main", "a/b.safetensors")),
        ("hf://me/heads/b.safetensors", HubName("me/heads", None, "b.safetensors")),
    ],
)
def test_names(name: str, expected: HubName) -> None:
    found = parse_hub_name(name)
    assert found == expected
    assert parse_hub_name(str(found)) == expected


@pytest.mark.parametrize(
    "name", ["hf://", "hf://me", "me/../heads", "hf://me/heads@", "hf://me/heads/model.pkl", "a b/c"]
)
def test_what_is_no_name(name: str) -> None:
    with pytest.raises(UsageError, match=r"no name on a hub|only those are read"):
        parse_hub_name(name)


def test_revisions_that_do_not_fit(predictor: Predictor, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="differ"):
        parse_hub_name("me/heads@v1", "v2")
    with pytest.raises(UsageError, match="has no revisions"):
        Predictor.from_pretrained(predictor.save_pretrained(tmp_path / "model"), revision="v1")
    (tmp_path / "empty").mkdir()
    with pytest.raises(PanoHeadError, match=r"holds no model\.safetensors"):
        Predictor.from_pretrained(tmp_path / "empty")


def test_without_the_package_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(PanoHeadError, match=r"pip install 'panohead\[hub\]'"):
        load("hf://me/heads")
