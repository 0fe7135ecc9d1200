"""Kernels that cannot be loaded are a warning and plain PyTorch, never a crash."""

import subprocess
import sys
import types
from pathlib import Path

import pytest
import torch

from panohead.ops.cpu import jit, winograd


def test_a_module_that_fails_is_a_warning_once(monkeypatch: pytest.MonkeyPatch) -> None:
    jit.load_failure.cache_clear()
    with pytest.warns(RuntimeWarning, match="plain PyTorch is used"):
        reason = jit.load_failure("panohead.no_such_kernels")
    assert reason is not None
    assert jit.load_failure("panohead.no_such_kernels") == reason
    monkeypatch.setitem(sys.modules, "panohead.some_kernels", types.ModuleType("panohead.some_kernels"))
    assert jit.load_failure("panohead.some_kernels") is None


@pytest.mark.skipif(not jit.available(), reason="numba is not installed")
def test_convolutions_step_aside(monkeypatch: pytest.MonkeyPatch) -> None:
    x, weight = torch.zeros(1, 32, 16, 16), torch.zeros(32, 32, 3, 3)
    assert winograd.unsupported(x, weight) is None
    monkeypatch.setattr(winograd, "load_failure", lambda module: f"{module} is broken")
    assert "is broken" in (winograd.unsupported(x, weight) or "")


@pytest.mark.skipif(not jit.available(), reason="numba is not installed")
def test_without_a_folder_for_the_cache_kernels_work_with_one_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    from numba.core import caching

    jit._warn_uncached.cache_clear()
    monkeypatch.setattr(caching.CacheImpl, "_locator_classes", [])
    with pytest.warns(RuntimeWarning, match="set NUMBA_CACHE_DIR") as warned:
        kernels = [jit.jit()(lambda x, n=n: x + n) for n in (1, 2)]
    assert len(warned) == 1
    assert [kernel(1) for kernel in kernels] == [2, 3]


_CALLER = """
from panohead.ops.cpu.jit import jit
from callee import value

@jit()
def doubled():
    return 2 * value()
"""
_CALLEE = """
from panohead.ops.cpu.jit import jit

@jit()
def value():
    return {number}
"""


@pytest.mark.skipif(not jit.available(), reason="needs numba")
def test_a_change_of_another_file_is_compiled_anew(tmp_path: Path) -> None:
    """A kernel in one file, called by a kernel in another file that does not change."""
    (tmp_path / "caller.py").write_text(_CALLER)
    program = "from panohead.ops.cpu import jit; jit.sources_digest = lambda: {digest!r}; import caller; print({call})"
    results = []
    for number in (3, 5):
        (tmp_path / "callee.py").write_text(_CALLEE.format(number=number))
        code = program.format(digest=f"digest{number}", call="caller.doubled()")
        # -B: a file that changes within a second, in one character, is no other file for Python's own cache.
        done = subprocess.run(
            [sys.executable, "-B", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
        )
        results.append(int(done.stdout))
    assert results == [6, 10]


def test_the_digest_covers_the_files_with_kernels() -> None:
    package = Path(jit.__file__).parents[2]
    covered = [package / folder for folder in jit._KERNEL_FOLDERS]
    for path in package.rglob("*.py"):
        if "@jit(" in path.read_text() and path.name != "jit.py":
            assert any(folder in path.parents for folder in covered), path
