"""The notebooks run from their first cell to their last, at tiny size, and are stored without outputs."""

import json
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def cells(path: Path, kind: str) -> list[str]:
    found = json.loads(path.read_text(encoding="utf-8"))
    assert (found["nbformat"], found["metadata"]["kernelspec"]["name"]) == (4, "python3")
    return ["".join(cell["source"]) for cell in found["cells"] if cell["cell_type"] == kind]


def test_there_are_three() -> None:
    assert [path.stem for path in NOTEBOOKS] == ["1_start", "2_photo_to_avatar", "3_train_your_own"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_outputs_are_not_stored(path: Path) -> None:
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        assert cell.get("outputs", []) == []
        assert cell.get("execution_count") is None
    assert path.stat().st_size < 20_000
    assert cells(path, "markdown")[0].startswith("# ")


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_all_cells_run(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In this process, so that torch is loaded once; tools/run_notebooks.py runs them in Jupyter's kernel."""
    monkeypatch.setenv("PANOHEAD_TINY", "1")
    monkeypatch.setenv("PANOHEAD_OUT", str(tmp_path / "out"))
    names: dict[str, Any] = {"__name__": "__main__"}
    for number, source in enumerate(cells(path, "code")):
        exec(compile(source, f"{path.name}, code cell {number}", "exec"), names)
    made = {file.name for file in (tmp_path / "out").iterdir()}
    wanted = {
        "1_start": {"head.glb", "turntable.mp4"},
        "2_photo_to_avatar": {"avatar.glb", "avatar"},
        "3_train_your_own": {"people", "run"},
    }[path.stem]
    assert made == wanted
