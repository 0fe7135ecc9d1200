"""The Python API refuses what the command line refuses: one sentence, our own error, nothing written."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

TESTS = Path(__file__).parent


@pytest.fixture(scope="module")
def refused(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The errors of all calls, made in one process without jaxtyping's checks."""
    out = tmp_path_factory.mktemp("refused")
    path = os.pathsep.join([str(TESTS), str(TESTS.parent / "src")])
    command = [sys.executable, str(TESTS / "refused_arguments.py"), str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": path})
    assert done.returncode == 0, done.stderr
    assert done.stderr == "", "no warning either"
    return json.loads(done.stdout)


def test_every_impossible_argument_is_our_error(refused: dict[str, Any]) -> None:
    wrong = {n: f for n, f in refused["found"].items() if "PanoHeadError" not in f["kinds"]}
    assert wrong == {}
    assert len(refused["found"]) > 120


def test_every_refusal_is_one_sentence_with_a_remedy(refused: dict[str, Any]) -> None:
    for name, found in refused["found"].items():
        sentence = found["sentence"]
        assert "\n" not in sentence, name
        assert 20 < len(sentence) < 300, name
        assert any(mark in sentence for mark in ("; ", "give ")), f"{name}: no remedy in {sentence!r}"
        assert not any(word in sentence for word in ("Traceback", "TypeError", "object at 0x")), name


def test_nothing_was_written(refused: dict[str, Any]) -> None:
    assert refused["left"] == []
