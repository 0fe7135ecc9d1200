"""One process at a time works in a folder; a dead one holds nothing."""

import json
import os
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import pytest

import tiny
from data.small_photos import write_photos
from panohead.checkpoint import save_checkpoint
from panohead.cli.main import main
from panohead.errors import PanoHeadError
from panohead.files import folder_lock
from panohead.files.folder_lock import LOCK_NAME, FolderInUse, locked_folder
from training.runs import HEADS

_HOLD = (
    "import sys, time; from pathlib import Path; from panohead.files.folder_lock import locked_folder\n"
    "with locked_folder(Path(sys.argv[1]), 'trains'):\n"
    "    print('held', flush=True); time.sleep(60)"
)


def holder(folder: Path) -> "subprocess.Popen[str]":
    process = subprocess.Popen([sys.executable, "-c", _HOLD, str(folder)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def end(process: "subprocess.Popen[str]", number: int = signal.SIGKILL) -> None:
    process.send_signal(number)
    process.communicate()


def test_a_second_process_is_told_of_the_first(tmp_path: Path) -> None:
    process = holder(tmp_path / "run")
    try:
        told = rf"another process trains in .*run \(process {process.pid}, since 0 min"
        for _ in range(20):
            with pytest.raises(FolderInUse, match=told), locked_folder(tmp_path / "run", "trains"):
                pass
        assert json.loads((tmp_path / "run" / LOCK_NAME).read_text())["pid"] == process.pid
    finally:
        end(process)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_dead_owner_holds_nothing(number: int, tmp_path: Path) -> None:
    end(holder(tmp_path), number)
    with locked_folder(tmp_path, "trains"):
        assert json.loads((tmp_path / LOCK_NAME).read_text())["pid"] == os.getpid()
    assert list(tmp_path.iterdir()) == []


def test_the_same_process_counts_too(tmp_path: Path) -> None:
    with locked_folder(tmp_path, "renders"):
        with pytest.raises(FolderInUse, match="another process renders"), locked_folder(tmp_path, "renders"):
            pass
        assert (tmp_path / LOCK_NAME).exists()
    with locked_folder(tmp_path, "renders"), locked_folder(tmp_path / "other", "renders"):
        pass


def test_the_lock_ends_with_an_error(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), locked_folder(tmp_path, "renders"):
        raise ZeroDivisionError
    with locked_folder(tmp_path, "renders"):
        pass


@pytest.mark.parametrize("kind", ["pipe", "link", "folder", "device"])
def test_odd_lock_files(kind: str, tmp_path: Path) -> None:
    path, victim = tmp_path / LOCK_NAME, tmp_path / "victim"
    victim.write_text("mine")
    match kind:
        case "pipe":
            os.mkfifo(path)
        case "link":
            path.symlink_to(victim)
        case "device":
            path.symlink_to("/dev/null")
        case "folder":
            path.mkdir()
    with pytest.raises(PanoHeadError, match=r"\.lock"), locked_folder(tmp_path, "renders"):
        pass
    assert victim.read_text() == "mine"


@pytest.mark.parametrize("content", ["", "{", "[]", '{"pid": "x"}', "[" * 4000, '{"pid": 1e999, "since": 0}', "null"])
def test_odd_owners(content: str, tmp_path: Path) -> None:
    (tmp_path / LOCK_NAME).write_text(content)
    with locked_folder(tmp_path, "renders"):
        pass


class TestWithoutLocks:
    """File systems and systems that have none: the owner in the file counts."""

    @pytest.fixture(autouse=True)
    def no_locks(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(folder_lock, "fcntl", None)

    def owned(self, folder: Path, **changes: object) -> None:
        (folder / LOCK_NAME).write_text(json.dumps({**folder_lock._owner("trains"), **changes}))

    def test_a_living_owner(self, tmp_path: Path) -> None:
        self.owned(tmp_path)
        with pytest.raises(FolderInUse, match="trains"), locked_folder(tmp_path, "trains"):
            pass

    def test_a_dead_owner(self, tmp_path: Path) -> None:
        process = subprocess.Popen([sys.executable, "-c", ""])
        process.wait()
        self.owned(tmp_path, pid=process.pid)
        with locked_folder(tmp_path, "trains"):
            pass

    def test_an_owner_elsewhere(self, tmp_path: Path) -> None:
        self.owned(tmp_path, host="another", since=time.time() - 3 * 3600)
        with pytest.raises(FolderInUse, match="on another, since 3 hours"), locked_folder(tmp_path, "trains"):
            pass
        self.owned(tmp_path, host="another", since=time.time() - 30 * 86400)
        with locked_folder(tmp_path, "trains"):
            pass


def test_every_command_that_writes_into_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = write_photos(tmp_path / "data", count=2, side=64)
    photo, label = root / "images" / "00000" / "000.png", root / "images" / "dataset.json"
    shown = json.loads(label.read_text())["labels"]
    (tmp_path / "labels.json").write_text(json.dumps({"labels": [[name.rpartition("/")[2], x] for name, x in shown]}))
    (tmp_path / "photo.png").write_bytes(b"x")
    model = str(tmp_path / "tiny.safetensors")
    save_checkpoint(model, {"G_ema": tiny.generator()})
    commands: dict[str, list[str]] = {
        "trains": ["train", "--preset", "tiny", "--data", str(HEADS), "--device", "cpu", "--quiet"],
        "renders": ["synthesize", "--people", "1", "--workers", "1"],
        "prepares photos": ["prepare", str(tmp_path / "photo.png"), "--workers", "1"],
        "reconstructs": ["reconstruct", str(photo), "--checkpoint", model, "--aligned", "--labels",
                         str(tmp_path / "labels.json")],
        "evaluates": ["evaluate", "--checkpoint", model, "--data", str(HEADS)],
    }  # fmt: skip
    if find_spec("mediapipe") is None:
        del commands["prepares photos"]  # refused before it looks at the folder
    for doing, command in commands.items():
        out = tmp_path / doing
        with locked_folder(out, doing):
            code = main([*command, "--out", str(out)])
            message = capsys.readouterr().err
            assert (code, f"another process {doing} in {out}" in message) == (1, True), message
            assert [path.name for path in out.iterdir()] == [LOCK_NAME]


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(PanoHeadError, match="file"), locked_folder(tmp_path / "file" / "run", "trains"):
        pass
