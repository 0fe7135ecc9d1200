"""Known models: the bundled one is what ``load`` opens, and no official hash is made up."""

import hashlib
import shutil
import socket
from importlib import resources
from pathlib import Path

import pytest

from panohead import known_models as registry
from panohead.cli.main import main
from panohead.errors import PanoHeadError
from panohead.known_models import BUNDLED, KnownModel, bundled_file, known_model, known_models, recognized


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection is an error."""

    def refuse(*_: object) -> None:
        raise AssertionError("the registry must not connect to anything")

    monkeypatch.setattr(socket.socket, "connect", refuse)


def test_bundled_models_have_file_hash_and_card() -> None:
    files = {path.name for path in (resources.files("panohead") / "assets").iterdir()}
    assert {f"{name}.{suffix}" for name in BUNDLED for suffix in ("safetensors", "md")} <= files
    model = known_model("demo")
    assert model.sha256 == hashlib.sha256(bundled_file("demo").read_bytes()).hexdigest()


def test_official_models_name_license_and_place_and_no_invented_hash() -> None:
    official = [model for model in known_models() if model.kind == "official"]
    assert official
    for model in official:
        assert model.sha256 is None
        assert "non-commercial" in model.license
        assert "SizheAn/PanoHead" in model.published


def test_the_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models"]) == 0
    out = capsys.readouterr().out
    for model in known_models():
        assert f"{model.name} ({model.kind})" in out
    assert "not known to this package" in out


def test_a_card(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "demo"]) == 0
    out = capsys.readouterr().out
    assert "## Limits and use" in out
    assert str(known_model("demo").sha256) in out
    assert main(["models", "nonesuch"]) == 1
    assert "neither a file nor a known model; known are demo, " in capsys.readouterr().err


def test_files_are_recognized_by_hash(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    copy = tmp_path / "renamed.safetensors"
    shutil.copy(bundled_file("demo"), copy)
    assert main(["models", str(copy)]) == 0
    assert "known as   demo (by its hash)" in capsys.readouterr().out
    with copy.open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"\x00\x01")
    assert main(["models", str(copy)]) == 0
    assert "none of the known models" in capsys.readouterr().out
    official = tmp_path / "ablation-trigridD-1-025000.pkl"
    official.write_bytes(b"anything")
    assert main(["models", str(official)]) == 0
    said = capsys.readouterr().out
    assert "by its name alone" in said
    assert hashlib.sha256(b"anything").hexdigest() in said


def test_a_known_hash_contradicts_a_false_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "owned.pkl"
    path.write_bytes(b"theirs")
    theirs = KnownModel("owned.pkl", "official", "", "", "", hashlib.sha256(b"theirs").hexdigest())
    monkeypatch.setattr(registry, "known_models", lambda: [theirs])
    assert recognized(path)[1:] == (theirs, True)
    path.write_bytes(b"others")
    assert recognized(path)[1:] == (theirs, False)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(PanoHeadError, match="cannot read"):
        recognized(tmp_path)
