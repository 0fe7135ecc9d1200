"""Kernels that cannot be loaded are a warning and plain PyTorch, never a crash."""

import sys
import types

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
