"""Every script in examples/ runs with small settings, writes what its docstring says, and what it writes is right.

The scripts run in this process, one after the other, so that torch and compiled kernels are loaded once.
"""

import json
import math
import re
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
import trimesh
from PIL import Image

from panohead import load
from panohead.media import is_marked_synthetic

ROOT = Path(__file__).parents[2]
SCRIPTS = sorted((ROOT / "examples").glob("*.py"))
DATA = ROOT / "tests" / "training" / "heads"
MAX_LINES = 39


def run(name: str, *arguments: object) -> None:
    """Run the script whose name begins with ``name`` as a user does."""
    (script,) = (path for path in SCRIPTS if path.name.startswith(name))
    arguments_before = sys.argv
    sys.argv = [str(script), *map(str, arguments)]
    try:
        runpy.run_path(str(script), run_name="__main__")
    finally:
        sys.argv = arguments_before


def pixels(path: Path) -> np.ndarray:
    """An image file as floats in 0..255."""
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"), dtype=np.float64)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_script_is_short_explains_itself_and_has_a_test(script: Path) -> None:
    text = script.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= MAX_LINES
    assert re.match(
        r'""".+?\n\nRun:     python examples/' + re.escape(script.name) + r".+?\nWrites:  ", text, re.DOTALL
    )
    assert f'run("{script.name[:2]}' in Path(__file__).read_text(encoding="utf-8")


def test_first_head(tmp_path: Path) -> None:
    run("00", tmp_path)
    views = [tmp_path / f"yaw{yaw:03d}.png" for yaw in range(0, 360, 45)]
    assert all(is_marked_synthetic(view) for view in views)
    front, back = pixels(views[0]), pixels(views[4])
    assert np.abs(front - back).mean() > 5, "the back is not the face"
    with Image.open(tmp_path / "cutout.png") as cutout:
        alpha = np.asarray(cutout)[..., 3]
    assert alpha[len(alpha) // 2, len(alpha) // 2] > 250
    assert alpha[0, 0] < 5
    np.testing.assert_allclose(pixels(tmp_path / "on_blue.png")[0, 0], (40, 80, 160), atol=3)
    assert pixels(tmp_path / "depth.png").shape == pixels(tmp_path / "mask.png").shape


def test_interpolation_and_mixing(tmp_path: Path) -> None:
    run("01", tmp_path)
    walk, mixed = pixels(tmp_path / "interpolation.png"), pixels(tmp_path / "mixing.png")
    assert walk.shape[0] == mixed.shape[0], "the same three views"
    assert walk.shape[1] > mixed.shape[1], "five heads and four"
    first, last = walk[:, -5 * 136 : -4 * 136], walk[:, -136:]
    assert np.abs(first - last).mean() > 1


def test_mesh(tmp_path: Path) -> None:
    run("02", tmp_path, 48)
    glb, ply = trimesh.load_mesh(tmp_path / "head.glb"), trimesh.load_mesh(tmp_path / "head.ply")
    assert 0.2 < ply.extents[1] < 0.45, "a head and its neck, in meters"
    assert ply.is_watertight
    np.testing.assert_allclose(glb.extents, ply.extents, atol=1e-4)
    assert (tmp_path / "head.obj").stat().st_size > 10_000


def test_reconstruction(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("03", tmp_path, 2)
    found = re.search(r"error at the photo's camera ([\d.]+)", capsys.readouterr().out)
    assert found is not None
    assert 0 < float(found[1]) < 0.4
    side = load("demo").generator.config.superresolution.output_resolution
    assert pixels(tmp_path / "target.png").shape == (side, side, 3)
    assert pixels(tmp_path / "reconstruction.png").shape[1] > 8 * side


@pytest.mark.filterwarnings("ignore")  # MediaPipe's own
def test_alignment(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("mediapipe", exc_type=ImportError)
    run("04", tmp_path)
    output = capsys.readouterr().out
    assert "1 crops of 1 photos" in output
    yaw = re.search(r"yaw (-?\d+), pitch (-?\d+)", output)
    assert yaw is not None
    assert abs(int(yaw[1])) < 8, "the astronaut looks into the camera"
    assert [pixels(path).shape for path in (tmp_path / "aligned" / "images").rglob("*.png")] == [(256, 256, 3)]


def test_training(tmp_path: Path) -> None:
    run("05", tmp_path, 1, 0.016)
    records = [json.loads(line) for line in (tmp_path / "run" / "stats.jsonl").read_text().splitlines()]
    assert records[-1]["nimg"] == 16
    assert math.isfinite(records[-1]["loss_generator"])
    assert (tmp_path / "run" / "report.html").is_file()
    assert pixels(tmp_path / "trained.png").shape == (32, 32, 3)


@pytest.mark.filterwarnings("ignore")  # MediaPipe's own, where it is installed
def test_evaluation(tmp_path: Path) -> None:
    run("06", tmp_path, DATA, 16)
    columns = json.loads((tmp_path / "metrics.json").read_text())["columns"]
    assert [column["name"] for column in columns] == ["demo", "photos"]
    values = {result["metric"]: result["value"] for result in columns[0]["results"]}
    assert 0 < values["SWD"] < 100
    assert "| SWD" in (tmp_path / "table.md").read_text()


def test_own_field(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The ball covers the area of its outline, and its nearest point is a radius before the origin."""
    run("07", tmp_path, 64)
    found = re.search(r"foreground ([\d.]+) of the image; nearest depth ([\d.]+)", capsys.readouterr().out)
    assert found is not None
    outline = 4.2647 * 0.3 / math.sqrt(2.7**2 - 0.3**2)
    assert float(found[1]) == pytest.approx(math.pi * outline**2, rel=0.01)
    assert float(found[2]) == pytest.approx(2.7 - 0.3, abs=0.02)
    assert pixels(tmp_path / "sphere.png").shape == (64, 64, 3)
