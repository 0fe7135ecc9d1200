"""Python files of the current folder are not run, whatever they are called: photos may lie beside a ``torch.py``."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

NAMES = ("torch", "numba", "numpy", "PIL", "tyro", "jaxtyping", "rich", "scipy", "safetensors", "panohead", "yaml")
STANDARD = ("json", "pickle", "multiprocessing", "socket", "struct", "threading", "random", "selectors", "tempfile")
ROOT = Path(__file__).parents[2]

_ALL_KINDS_OF_CHILDREN = """
import sys
from pathlib import Path

from panohead.data.dataset import PhotoDataset, dataset_paths
from panohead.data.workers import decoded_batches
from panohead.preparation.settings import PrepareSettings
from panohead.preparation.sources import PhotoRef
from panohead.preparation.worker_pool import prepare_many
from panohead.synthetic.config import SyntheticDatasetConfig
from panohead.synthetic.synthesize import synthesize

if __name__ == "__main__":
    out = Path(sys.argv[1])
    config = SyntheticDatasetConfig.of_edition(1, people=1, views=1, resolution=16, out=out / "heads")
    assert list(synthesize(config)) == [0, 1]
    batches = decoded_batches(PhotoDataset(*dataset_paths(out / "heads")), [[0]], workers=1, pin=False)
    assert next(batches).image.shape == (1, 3, 16, 16)
    batches.close()
    (out / "prepared" / ".prepare").mkdir(parents=True)
    refs = [PhotoRef("gone.png", out / "gone.png", problem="it is gone")]
    (record,) = prepare_many(refs, PrepareSettings(out=out / "prepared"), 1)
    assert record.reason == "it is gone"
    print("all")
"""


@pytest.fixture
def trap(tmp_path: Path) -> Path:
    """A folder with a module of every name that might be looked for; each leaves a trace."""
    folder = tmp_path / "trap"
    folder.mkdir()
    for name in NAMES + STANDARD:
        (folder / f"{name}.py").write_text(f"open({str(tmp_path / 'started')!r}, 'a').write({name!r} + chr(10))\n")
    return folder


def run(*command: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, "OMP_NUM_THREADS": "1"} | {"PYTHONPATH": str(ROOT / "src")}
    environment.pop("PYTHONSAFEPATH", None)
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def started(folder: Path) -> str:
    trace = folder / "started"
    return trace.read_text() if trace.exists() else ""


def test_the_trap_works(trap: Path, tmp_path: Path) -> None:
    run(sys.executable, "-c", "import tyro, json", folder=trap)
    assert started(tmp_path).split() == ["tyro", "json"]


def test_children_run_nothing_of_the_current_folder(trap: Path, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(_ALL_KINDS_OF_CHILDREN)
    result = run(sys.executable, "-P", str(script), str(tmp_path), folder=trap)
    assert started(tmp_path) == ""
    assert result.stdout == "all\n", result.stderr


@pytest.mark.parametrize("module", ["panohead", "panohead.cli.main"])
def test_the_command_by_its_module(module: str, trap: Path, tmp_path: Path) -> None:
    """``python -m`` itself, as torchrun uses it, looks for modules in the current folder before any of ours is run;
    the names that it needs are out of our reach."""
    for name in (*STANDARD, "panohead"):
        (trap / f"{name}.py").unlink()
    result = run(sys.executable, "-m", module, "--help", folder=trap)
    assert started(tmp_path) == ""
    assert "synthesize" in result.stdout, result.stderr


def test_settings_of_numba_in_the_current_folder_move_no_cache(tmp_path: Path) -> None:
    pytest.importorskip("numba")
    pytest.importorskip("yaml")
    (tmp_path / ".numba_config.yaml").write_text(f"cache_dir: {tmp_path / 'kernels'}\n")
    code = (
        "import numba; from panohead.ops.cpu.jit import jit\n"
        "assert numba.config.CACHE_DIR.endswith('kernels'), 'the test would not notice'\n"
        "import panohead.ops.cpu.fir_kernels as kernels\n"
        "found = [f for f in vars(kernels).values() if hasattr(f, '_cache')]\n"
        "assert found\n"
        "print({f._cache.cache_path for f in found})"
    )
    result = run(sys.executable, "-P", "-c", code, folder=tmp_path)
    assert "ops/cpu/__pycache__" in result.stdout, result.stderr
    assert str(tmp_path) not in result.stdout


def test_everything_that_the_command_starts(tmp_path: Path) -> None:
    code = (
        "import os, sys; sys.argv = ['panohead', '--help']\n"
        "from panohead.cli.main import main\n"
        "try:\n    main()\nexcept SystemExit:\n    print(os.environ['PYTHONSAFEPATH'])"
    )
    assert run(sys.executable, "-P", "-c", code, folder=tmp_path).stdout.endswith("\n1\n")
