"""Standard streams and signals: closed, full, and requests to end, in processes of their own."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from commands import Command
from panohead.cli.generate import Generate
from panohead.cli.main import _show_warning, main
from panohead.cli.reconstruct import Reconstruct
from panohead.cli.running.failures import reason
from panohead.cli.train import Train

COMMAND = [sys.executable, "-m", "panohead.cli.main"]
DRY_RUN = " ".join([*COMMAND, "train", "--preset", "tiny", "--dry-run"])


@pytest.mark.parametrize(
    ("line", "code", "words"),
    [
        (f"{DRY_RUN} > /dev/full", 1, "No space left on device"),
        (f"{' '.join(COMMAND)} doctor --help > /dev/full", 1, "No space left on device"),
        (f"{DRY_RUN} >&-", 0, ""),
        (f"{DRY_RUN} --kimg nan 2> /dev/full", 2, ""),
        (f"{DRY_RUN} --kimg nan 2>&-", 2, ""),
        (f"{DRY_RUN} <&- >&- 2>&-", 0, ""),
        (f"{DRY_RUN} --data $'gone\\xff'", 1, "gone\\udcff does not exist"),
        (f"COLUMNS=1 timeout 100 {' '.join(COMMAND)} generate --help > /dev/null", 0, ""),
        (f"mkdir gone; cd gone; rmdir ../gone; {DRY_RUN}", 1, "cannot use the current folder"),
    ],
)
def test_streams(line: str, code: int, words: str, tmp_path: Path) -> None:
    ran = subprocess.run(["bash", "-c", line], cwd=tmp_path, capture_output=True, text=True, timeout=200)
    assert (ran.returncode, "Traceback" in ran.stderr, "Exception ignored" in ran.stderr) == (code, False, False)
    assert words in ran.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("number", "everyone", "workers"), [(signal.SIGTERM, False, 2), (signal.SIGHUP, True, 1), (signal.SIGINT, True, 1)]
)
def test_signals_to_a_command_with_workers(
    number: signal.Signals, everyone: bool, workers: int, tmp_path: Path
) -> None:
    """The terminal sends SIGHUP and SIGINT to all processes of a command, ``kill`` SIGTERM to one."""
    out = tmp_path / "out"
    arguments = ["--people", "40", "--views", "1", "--resolution", "16", "--workers", str(workers), "--out", str(out)]
    process = Command("synthesize", *arguments, output=tmp_path / "output.txt")
    deadline = time.monotonic() + 200
    while not list(out.glob("parts/*.json")) and time.monotonic() < deadline:
        time.sleep(0.02)
    (os.killpg if everyone else os.kill)(process.pid, number)
    output = process.end(100)
    assert process.poll() == (130 if number == signal.SIGINT else 128 + number)
    assert "Traceback" not in output
    assert "what was finished is kept" in output
    assert is_gone(process.pid), "a process of the session is left"


def is_gone(group: int) -> bool:
    """Wait up to ten seconds for the end of all processes of a group."""
    for _ in range(200):
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    return False


def test_advice_on_memory_fits() -> None:
    train = Train()
    assert reason(MemoryError(), train) == "out of memory for this input on this machine"
    assert reason(MemoryError(), Train(batch=4096)) == "out of memory; lower --batch"
    head = Reconstruct(photos=(Path("a.png"),), out=Path("out"), mesh_resolution=1000)
    assert reason(MemoryError(), head) == "out of memory; lower --mesh-resolution"
    torch_error = RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 4 bytes")
    assert reason(torch_error, train) == "out of memory for this input on this machine"
    small = Generate(checkpoint="demo", out=Path("out"), rays=8)
    for error in (
        MemoryError(),
        RuntimeError("can't start new thread"),
        OSError(12, "Cannot allocate memory"),
        ImportError("libx.so: failed to map segment from shared object"),
    ):
        assert reason(error, small) == "out of memory for this input on this machine"
    large = Generate(checkpoint="demo", out=Path("out"), rays=512)
    assert reason(MemoryError(), large) == "out of memory; lower --rays"
    assert "unexpected ImportError" in reason(ImportError("no module named x"), small)


def test_messages_are_one_line_and_not_long() -> None:
    told = reason(OSError(36, "File name too long", "n\n" * 5000), Train())
    assert "File name too long" in told
    assert (len(told) < 2000, "\n" in told) == (True, False)
    assert reason(PermissionError(13, "Permission denied", "a\udcff"), Train()) == (
        "cannot use a\\udcff (Permission denied); check the path and its permissions"
    )


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["train", "--dry-run", "--data", ""], "argument 4 is empty; give a value"),
        (["train", "--dry-run", "--data="], "argument 3 is empty (--data); give a value"),
        (["dataset", "inspect", ""], "argument 3 is empty; give a value"),
        (["dataset", "inspect", "a\0b"], "argument 3 holds a zero byte"),
    ],
)
def test_empty_arguments_are_no_folder(words: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    """``--out "$OUT"`` with OUT unset would write into the current folder."""
    assert main(words) == 2
    assert told in capsys.readouterr().err


def test_a_setting_may_be_empty_text(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--preset", "tiny", "--dry-run", "--set=loss.r1_gamma="]) == 2
    assert "expected float, got str" in capsys.readouterr().err


def test_notes_are_sentences(capsys: pytest.CaptureFixture[str]) -> None:
    _show_warning("could not be\n  parsed:\nTraceback (most recent call last):\n  File x\nValueError: y")
    assert capsys.readouterr().err == "panohead: note: could not be parsed:\n"
