"""Installed is not working: what is imported, why it fails, and what to do on this Python."""

import sys
from pathlib import Path

import pytest

from panohead import diagnosis
from panohead.cli.main import main
from panohead.system import optional
from panohead.system.optional import EXTRAS, explain, import_failures


def test_why_and_what_to_do() -> None:
    missing = explain("mediapipe", "ModuleNotFoundError", "mediapipe", "No module named 'mediapipe'", version=(3, 12))
    assert (missing.installed, missing.remedy) == (False, "pip install 'panohead[face]'")
    newer = explain("mediapipe", "ModuleNotFoundError", "mediapipe", "No module named 'mediapipe'", version=(3, 13))
    assert "no wheels for Python 3.13" in newer.reason
    assert newer.remedy.startswith("python3.12 -m venv")
    text = "libGL.so.1: cannot open shared object file: No such file or directory"
    library = explain("mediapipe", "ImportError", "cv2", text, version=(3, 11))
    assert library.installed
    assert "libGL.so.1 is missing" in library.reason
    assert library.remedy == "apt-get install libgl1"
    unknown = explain(
        "bpy", "ImportError", "", "libodd.so.7: cannot open shared object file: No such file or directory"
    )
    assert "the system package that has libodd.so.7" in unknown.remedy
    half = explain("ray", "ModuleNotFoundError", "msgpack.ext", "No module named 'msgpack'")
    assert "half installed: msgpack is missing" in half.reason
    assert "--force-reinstall" in half.remedy
    other = explain("xatlas", "AttributeError", "", "module 'numpy' has no attribute 'bool'\nmore")
    assert other.installed
    assert "AttributeError: module 'numpy' has no attribute 'bool' more" in other.reason


def test_modules_are_imported_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that ends Python, one that fails, one that is half there and one that works; this process lives."""
    (tmp_path / "ends_python.py").write_text("import os\nos._exit(3)\n")
    (tmp_path / "fails_here.py").write_text("raise RuntimeError('no such driver')\n")
    (tmp_path / "half_there.py").write_text("import not_there_at_all\n")
    (tmp_path / "works_well.py").write_text("print('chatter')\n")
    (tmp_path / "never_ends.py").write_text("import time\ntime.sleep(600)\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    names = ["ends_python", "fails_here", "half_there", "works_well", "never_heard_of"]
    found = import_failures(names)
    assert list(found) == names
    reasons = {name: failure and failure.reason for name, failure in found.items()}
    assert reasons["ends_python"] == "importing it ends Python"
    assert reasons["fails_here"] == "it is installed and fails: RuntimeError: no such driver"
    assert reasons["half_there"] == "it is half installed: not_there_at_all is missing"
    assert reasons["works_well"] is None
    assert reasons["never_heard_of"] == "it is not installed"
    slow = import_failures(["never_ends"], timeout_s=1)["never_ends"]
    assert slow is not None
    assert (slow.installed, slow.reason) == (True, "importing it takes more than 1 s")
    assert not {*names, "never_ends"} & sys.modules.keys()


def test_doctor_tells_broken_from_missing_and_quick_imports_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "gradio.py").write_text("raise RuntimeError('of another version')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(diagnosis, "EXTRAS", {"app": ("gradio",), "none": ("never_heard_of",)})
    assert main(["doctor"]) == 0
    app, none = (line for line in capsys.readouterr().out.splitlines() if "extra '" in line)
    assert "broken" in app
    assert "RuntimeError: of another version" in app
    assert "missing" in none

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a process is started")

    monkeypatch.setattr(optional.subprocess, "run", refuse)
    assert main(["doctor", "--quick"]) == 0
    app, none = (line for line in capsys.readouterr().out.splitlines() if "extra '" in line)
    assert "installed" in app
    assert "broken" not in app
    assert "missing" in none
    assert "gradio" not in sys.modules


def test_extras_are_those_of_the_package() -> None:
    import tomllib

    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    assert set(EXTRAS) == set(project["optional-dependencies"]) - {"dev", "docs"}
