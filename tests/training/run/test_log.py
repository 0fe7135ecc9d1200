"""Files that outlive a killed run, the line that moves, and TensorBoard if it is there."""

import io
import json
import math
import sys
import time
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from panohead.errors import PanoHeadError
from panohead.training.run.log import RunLog, duration, showing
from panohead.training.run.records import read_records, repair_records


class Board:
    """A substitute for torch.utils.tensorboard's SummaryWriter that records its calls."""

    made: "list[Board]"

    def __init__(self, folder: Path, purge_step: int | None = None) -> None:
        self.folder, self.purge_step = folder, purge_step
        self.scalars: list[tuple[str, float, int]] = []
        self.images: list[tuple[str, np.ndarray, int, str]] = []
        self.flushed, self.closed = 0, False
        Board.made.append(self)

    def add_scalar(self, name: str, value: float, step: int) -> None:
        self.scalars.append((name, value, step))

    def add_image(self, name: str, pixels: np.ndarray, step: int, dataformats: str) -> None:
        self.images.append((name, pixels, step, dataformats))

    def flush(self) -> None:
        self.flushed += 1

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def boards(monkeypatch: pytest.MonkeyPatch) -> list[Board]:
    Board.made = []
    module = types.ModuleType("torch.utils.tensorboard")
    module.SummaryWriter = Board  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    return Board.made


def screen(*, terminal: bool) -> Console:
    return Console(file=io.StringIO(), force_terminal=terminal, width=120, color_system=None, legacy_windows=False)


def printed(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def opened(run: Path, **options: Any) -> RunLog:
    return RunLog(run, **{"total_kimg": 100.0, "tensorboard": False, "console": screen(terminal=False)} | options)


def test_a_tick_is_one_strict_json_line_at_once(tmp_path: Path) -> None:
    stats = tmp_path / "run" / "stats.jsonl"
    record = {"nimg": 4000, "kimg": 4.0, "loss_generator": math.nan, "x": -math.inf, "metric": None, "device": "cpu"}
    with opened(tmp_path / "run") as log:
        log.tick(record)
        first = stats.read_text()  # before the file is closed
        log.tick({"nimg": 8000})

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    assert first.endswith("\n")
    assert json.loads(first, parse_constant=refuse) == record | {"loss_generator": None, "x": None}
    assert [r["nimg"] for r in read_records(stats)] == [4000, 8000]


def test_a_killed_run_is_mended_and_goes_on_from_its_state(tmp_path: Path) -> None:
    stats = tmp_path / "stats.jsonl"
    whole = [b'{"nimg":   4000}', b'{"kimg": 8.0}', b'{"remark": 1}', b'{"nimg": 8001}', b'{"kimg": 12}']
    stats.write_bytes(b"\n".join([*whole[:2], b"\0\0\0", *whole[2:], b'{"nimg": 16000, "lo']))

    with opened(tmp_path):  # nothing is dropped but what is damaged
        assert stats.read_bytes() == b"".join(line + b"\n" for line in whole)
    console = screen(terminal=False)
    with opened(tmp_path, resume_nimg=8000, console=console) as log:
        # Lines that stay are the very bytes they were.
        assert stats.read_bytes() == b"".join(line + b"\n" for line in whole[:3])
        log.tick({"nimg": 12000})
    assert "2 line(s)" in printed(console)
    assert read_records(stats)[-1] == {"nimg": 12000}


def test_a_record_without_its_newline_is_kept(tmp_path: Path) -> None:
    stats = tmp_path / "stats.jsonl"
    stats.write_bytes(b'{"nimg": 1}')
    with opened(tmp_path) as log:
        log.tick({"nimg": 2})
    assert stats.read_bytes() == b'{"nimg": 1}\n{"nimg": 2}\n'


def test_mending_a_whole_file_does_not_touch_it(tmp_path: Path) -> None:
    stats = tmp_path / "stats.jsonl"
    stats.write_bytes(b'{"nimg": 1}\n')
    inode = stats.stat().st_ino
    assert repair_records(stats, last_nimg=1) == 0
    assert stats.stat().st_ino == inode
    assert repair_records(tmp_path / "none.jsonl") == 0
    assert [path.name for path in tmp_path.iterdir()] == ["stats.jsonl"]


def test_without_a_terminal_there_is_a_line_a_tick(tmp_path: Path) -> None:
    console = screen(terminal=False)
    with opened(tmp_path, console=console) as log:
        for step in range(50):
            log.progress(step / 10, {"loss_generator": 1.0}, 10.0)
        assert printed(console) == ""
        log.tick({"kimg": 10.0, "loss_generator": 0.8125, "r1_image": 0.5, "images_per_second": 20.0, "other": 7})
    (line,) = printed(console).splitlines()
    assert line == "10.0/100 kimg 10.0%  20.0 img/s  left 1:15:00  G 0.812  R1 0.5"


def test_on_a_terminal_one_line_moves_and_asks_for_losses_only_when_drawn(tmp_path: Path) -> None:
    console = screen(terminal=True)
    asked = []
    with opened(tmp_path, console=console) as log:

        def losses() -> dict[str, float]:
            asked.append(1)
            return {"logits_real": 3.0, "loss_generator": 0.8125, "r1_image": 0.25}

        for _ in range(500):
            log.progress(25.0, losses, 10.0)
        log.tick({"kimg": 25.0, "loss_generator": 0.5})
        log.note("an image [red]is[/red] unreadable")
    text = printed(console)
    assert 1 <= len(asked) <= 5
    assert "25.0/100 kimg 25.0%  10.0 img/s  left 2:05:00  G 0.812  R1 0.25  logits_real 3" in text
    assert "an image [red]is[/red] unreadable\n" in text


def test_a_narrow_terminal_keeps_what_matters(tmp_path: Path) -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=60, color_system=None, legacy_windows=False)
    with opened(tmp_path, console=console, total_kimg=25000) as log:
        log.progress(12000.0, {"loss_generator": 0.8, "loss_fake": 1.0, "r1_image": 0.001}, 31.2)
        shown = printed(console)
    assert shown.rsplit("\r")[-1].endswith(" 12000.0/25000 kimg 48.0%  31.2 img/s  left 4\N{HORIZONTAL ELLIPSIS}")
    assert "G 0.8" not in shown


def test_progress_is_cheap(tmp_path: Path) -> None:
    with opened(tmp_path, console=screen(terminal=True)) as log:
        began = time.perf_counter()
        for _ in range(1000):
            log.progress(1.0, {"loss_generator": 1.0}, 10.0)
        assert time.perf_counter() - began < 1.0


def test_the_speed_of_one_odd_step_hardly_counts(tmp_path: Path) -> None:
    console = screen(terminal=False)
    with opened(tmp_path, console=console) as log:
        for rate in (10.0, 10.0, 0.0, math.nan, 30.0):
            log.progress(1.0, {}, rate)
        log.tick({"kimg": 1.0})
    assert " 11.0 img/s " in printed(console)


def test_quiet_prints_nothing_and_writes_everything(tmp_path: Path) -> None:
    for terminal in (True, False):
        console = screen(terminal=terminal)
        with opened(tmp_path, quiet=True, console=console) as log:
            log.progress(1.0, {"loss_generator": 1.0}, 10.0)
            log.tick({"nimg": 1000})
            log.note("a warning")
        assert printed(console) == ""
    assert len(read_records(tmp_path / "stats.jsonl")) == 2
    assert [(r["kimg"], r["note"]) for r in read_records(tmp_path / "notes.jsonl")] == [(1.0, "a warning")] * 2
    assert json.loads((tmp_path / "environment.json").read_text())["total_kimg"] == 100


def test_other_processes_touch_no_file(tmp_path: Path, boards: list[Board]) -> None:
    run = tmp_path / "run"
    with opened(run, write=False, tensorboard=True, resume_nimg=0) as log:
        log.progress(1.0, {}, 1.0)
        log.tick({"nimg": 1000})
        log.note("a warning")
        log.image("heads", tmp_path / "none.png", 0)
    assert not run.exists()
    assert boards == []


def test_tensorboard_gets_scalars_images_and_the_place_to_go_on(tmp_path: Path, boards: list[Board]) -> None:
    image = tmp_path / "grid.png"
    Image.new("RGB", (4096, 64), (255, 0, 0)).save(image)
    with opened(tmp_path, tensorboard=True, resume_nimg=500) as log:
        log.tick({"nimg": 1000, "kimg": 1.0, "loss": 0.5, "bad": math.nan, "none": None, "text": "x", "count": 3})
        log.image("heads", image, 1000)
        (board,) = boards
        assert board.flushed == 1
        assert not board.closed
    assert board.folder == tmp_path / "tensorboard"
    assert board.purge_step == 501
    assert board.scalars == [("loss", 0.5, 1000), ("count", 3.0, 1000)]
    ((name, pixels, step, layout),) = board.images
    assert (name, pixels.shape, step, layout) == ("heads", (32, 2048, 3), 1000, "HWC")
    assert (pixels == (255, 0, 0)).all()
    assert board.closed


def test_missing_tensorboard_is_said_once_and_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    console = screen(terminal=False)
    with opened(tmp_path, tensorboard=True, console=console) as log:
        for nimg in (1, 2):
            log.tick({"nimg": nimg})
        log.image("heads", tmp_path / "none.png", 0)
    assert printed(console).count("pip install 'panohead[train]'") == 1


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_real_tensorboard_reads_it_back(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    with opened(tmp_path, tensorboard=True) as log:
        for nimg in (1000, 2000, 3000):
            log.tick({"nimg": nimg, "loss": nimg / 1e4})
    with opened(tmp_path, tensorboard=True, resume_nimg=1000) as log:
        log.tick({"nimg": 2000, "loss": 7.0})
        Image.new("RGB", (8, 8)).save(tmp_path / "grid.webp")
        log.image("heads", tmp_path / "grid.webp", 2000)
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert [(e.step, e.value) for e in events.Scalars("loss")] == [(1000, pytest.approx(0.1)), (2000, 7.0)]
    assert [e.step for e in events.Images("heads")] == [2000]


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(PanoHeadError, match="file"), opened(tmp_path / "file" / "run"):
        pass


def test_durations() -> None:
    assert [duration(s) for s in (0, 59.9, 3661, 86399, 86400, 200_000)] == [
        "0:00:00",
        "0:00:59",
        "1:01:01",
        "23:59:59",
        "1 d 00:00",
        "2 d 07:33",
    ]


def test_showing_a_task_before_the_training(capsys: pytest.CaptureFixture[str]) -> None:
    with showing("reading photos") as on_progress:
        on_progress(1, 2)
        on_progress(2, 2)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.splitlines() == ["reading photos ...", "reading photos: done in 0:00:00"]
    with showing("reading photos", enabled=False) as on_progress:
        on_progress(0, 0)
    assert capsys.readouterr().err == ""
