"""States of a run: whole or not there, through kills, damage and full disks."""

import hashlib
import os
import random
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from panohead.errors import PanoHeadError
from panohead.training.run.checkpoint import KEPT_STATES, load_latest_state, save_state

SAVER = Path(__file__).with_name("state_saver.py")


def _state(nimg: int) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(nimg)
    layer = nn.Linear(3, 4)
    nn.init.normal_(layer.weight, generator=generator)
    nn.init.normal_(layer.bias, generator=generator)
    optimizer = torch.optim.Adam(layer.parameters(), lr=1e-3)
    layer(torch.randn(2, 3, generator=generator)).square().sum().backward()
    optimizer.step()
    return {
        "networks": {"G": layer.state_dict()},
        "optimizer": optimizer.state_dict(),
        "rng": generator.get_state(),
        "ada": 0.25,
        "note": None,
        "shown": [nimg, (1, "two")],
    }


def _assert_equal(left: Any, right: Any) -> None:
    assert type(left) is type(right)
    if isinstance(left, torch.Tensor):
        assert torch.equal(left, right)
        assert left.dtype == right.dtype
    elif isinstance(left, dict):
        assert list(left) == list(right)
        for key in left:
            _assert_equal(left[key], right[key])
    elif isinstance(left, list | tuple):
        for one, other in zip(left, right, strict=True):
            _assert_equal(one, other)
    else:
        assert left == right


def _files(run: Path) -> list[str]:
    return sorted(os.listdir(run / "states"))


def _damage(file: Path, how: str) -> None:
    content = bytearray(file.read_bytes())
    if how == "truncated":
        content = content[: len(content) * 2 // 3]
    elif how == "header only":
        content = content[:82]
    elif how == "empty":
        content = bytearray()
    elif how == "foreign":
        content = bytearray(b"PK\x03\x04 something else")
    elif how == "longer":
        content += b"\0"
    elif how == "first bit":
        content[0] ^= 1
    elif how == "bit of the hash":
        content[40] ^= 1
    elif how == "bit of the payload":
        content[len(content) // 2] ^= 16
    elif how == "last bit":
        content[-1] ^= 128
    file.write_bytes(content)


def test_what_was_saved_comes_back(tmp_path: Path) -> None:
    state = _state(7)
    file = save_state(tmp_path, 7, state)
    loaded = load_latest_state(tmp_path)
    assert loaded is not None
    assert (loaded.nimg, loaded.file, loaded.skipped) == (7, file, [])
    assert file == tmp_path / "states" / "state-000000000007.pt"
    _assert_equal(loaded.state, state)


def test_the_file_carries_the_hash_of_its_payload(tmp_path: Path) -> None:
    header, payload = save_state(tmp_path, 7, _state(7)).read_bytes().split(b"\n", 1)
    assert header == b"panohead-state-1 " + hashlib.sha256(payload).hexdigest().encode()


def test_a_run_without_states_has_none(tmp_path: Path) -> None:
    assert load_latest_state(tmp_path / "nowhere") is None
    (tmp_path / "states").mkdir()
    (tmp_path / "states" / ".state-000000000007.abcd.tmp.pt").write_bytes(b"half")
    (tmp_path / "states" / "notes.txt").write_text("mine")
    assert load_latest_state(tmp_path) is None


def test_the_last_two_stay_and_stale_files_go(tmp_path: Path) -> None:
    for nimg in (8, 90, 100, 1_000_000):
        save_state(tmp_path, nimg, _state(nimg))
        (tmp_path / "states" / f".state-{nimg:012d}.abcd.tmp.pt").write_bytes(b"half")
    (tmp_path / "states" / "notes.txt").write_text("mine")
    save_state(tmp_path, 2_000_000, _state(2))
    assert KEPT_STATES == 2
    assert _files(tmp_path) == ["notes.txt", "state-000001000000.pt", "state-000002000000.pt"]
    loaded = load_latest_state(tmp_path)
    assert loaded is not None
    assert loaded.nimg == 2_000_000


def test_saving_again_replaces_the_same_count(tmp_path: Path) -> None:
    save_state(tmp_path, 5, {"turn": 1})
    save_state(tmp_path, 5, {"turn": 2})
    loaded = load_latest_state(tmp_path)
    assert loaded is not None
    assert loaded.state == {"turn": 2}


@pytest.mark.parametrize(
    "how",
    [
        "truncated",
        "header only",
        "empty",
        "foreign",
        "longer",
        "first bit",
        "bit of the hash",
        "bit of the payload",
        "last bit",
    ],
)
def test_a_damaged_state_is_passed_over(tmp_path: Path, how: str) -> None:
    for nimg in (1, 2, 3):
        save_state(tmp_path, nimg, _state(nimg))
    newest = tmp_path / "states" / "state-000000000003.pt"
    _damage(newest, how)
    before = newest.read_bytes()

    loaded = load_latest_state(tmp_path)
    assert loaded is not None
    assert loaded.nimg == 2
    _assert_equal(loaded.state, _state(2))
    assert len(loaded.skipped) == 1
    assert str(newest) in loaded.skipped[0]
    assert "skipped" in loaded.skipped[0]
    assert newest.read_bytes() == before

    _damage(loaded.file, how)
    with pytest.raises(PanoHeadError, match=r"no state in .*states is complete") as caught:
        load_latest_state(tmp_path)
    assert str(tmp_path / "states") in str(caught.value)


def test_a_renamed_state_is_passed_over(tmp_path: Path) -> None:
    save_state(tmp_path, 1, _state(1))
    file = save_state(tmp_path, 2, _state(2))
    file.rename(file.with_name("state-000000000009.pt"))
    loaded = load_latest_state(tmp_path)
    assert loaded is not None
    assert loaded.nimg == 1
    assert "renamed" in loaded.skipped[0]


def test_damaged_states_do_not_count_among_the_kept(tmp_path: Path) -> None:
    for nimg in (1, 2):
        save_state(tmp_path, nimg, _state(nimg))
    _damage(tmp_path / "states" / "state-000000000002.pt", "truncated")
    save_state(tmp_path, 3, _state(3))
    assert _files(tmp_path) == ["state-000000000001.pt", "state-000000000003.pt"]
    _damage(tmp_path / "states" / "state-000000000003.pt", "truncated")
    save_state(tmp_path, 2, _state(2))  # resumed from 1 and has not yet reached 3 again
    assert _files(tmp_path) == ["state-000000000001.pt", "state-000000000002.pt"]


def test_a_later_state_is_never_lost_to_a_fresh_run(tmp_path: Path) -> None:
    for nimg in (10, 20):
        save_state(tmp_path, nimg, _state(nimg))
    before = _files(tmp_path)
    with pytest.raises(PanoHeadError, match=r"state-000000000020.pt is a later state.*--resume"):
        save_state(tmp_path, 4, _state(4))
    assert _files(tmp_path) == before


@pytest.mark.parametrize(
    ("value", "where"),
    [
        (np.float64(1.0), r"state\['a'\]\['b'\]\[1\] is a float64"),
        (Path("x"), "is a PosixPath"),
        ({1.5: 1}, "has the key 1.5"),
        (torch.float32, "is a dtype"),
    ],
)
def test_what_could_not_be_loaded_again_is_refused(tmp_path: Path, value: object, where: str) -> None:
    with pytest.raises(TypeError, match=where):
        save_state(tmp_path, 1, {"a": {"b": [0, value]}})
    assert not (tmp_path / "states").exists()


def test_a_whole_file_that_executes_something_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "states"
    folder.mkdir()
    torch.save({"nimg": 3, "state": {"path": Path("x")}}, tmp_path / "payload")
    payload = (tmp_path / "payload").read_bytes()
    header = b"panohead-state-1 " + hashlib.sha256(payload).hexdigest().encode() + b"\n"
    (folder / "state-000000000003.pt").write_bytes(header + payload)
    with pytest.raises(PanoHeadError, match=r"state-000000000003.pt is complete but torch"):
        load_latest_state(tmp_path)


def test_a_full_disk_leaves_what_was_there(tmp_path: Path) -> None:
    save_state(tmp_path, 1, _state(1))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    signal_before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(PanoHeadError, match=r"cannot write .*state-000000000002.pt .*free the disk"):
            save_state(tmp_path, 2, {"large": [torch.ones(20_000) for _ in range(10)]})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, signal_before)
    assert _files(tmp_path) == ["state-000000000001.pt"]
    loaded = load_latest_state(tmp_path)
    assert loaded is not None
    assert loaded.nimg == 1


def test_no_error_of_the_disk_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_state(tmp_path, 1, _state(1))

    def broken(descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(PanoHeadError, match=r"cannot write .*state-000000000002.pt \(Input/output error\)"):
        save_state(tmp_path, 2, _state(2))
    assert _files(tmp_path) == ["state-000000000001.pt"]


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("a file")
    with pytest.raises(PanoHeadError, match=r"cannot make the folder .*run"):
        save_state(tmp_path / "run", 1, _state(1))


def test_old_files_go_only_after_the_new_one_is_durable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for nimg in (1, 2):
        save_state(tmp_path, nimg, _state(nimg))
    observed: list[tuple[str, list[str]]] = []
    fsync = os.fsync

    def watched(descriptor: int) -> None:
        fsync(descriptor)
        synced = Path(os.readlink(f"/proc/self/fd/{descriptor}")).name
        observed.append((synced.split(".")[-1], [name for name in _files(tmp_path) if not name.startswith(".")]))

    monkeypatch.setattr(os, "fsync", watched)
    save_state(tmp_path, 3, _state(3))
    both = ["state-000000000001.pt", "state-000000000002.pt"]
    assert observed[0] == ("pt", both)  # the temporary file
    assert observed[1] == ("states", [*both, "state-000000000003.pt"])
    assert _files(tmp_path) == ["state-000000000002.pt", "state-000000000003.pt"]


def test_a_kill_at_any_moment_leaves_the_newest_or_the_one_before(tmp_path: Path) -> None:
    moments = random.Random(3)
    step, reached, caught_writing = 8, 0, 0
    with subprocess.Popen(
        [sys.executable, str(SAVER), str(tmp_path), str(step)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        text=True,
    ) as saver:
        assert saver.stdin is not None
        assert saver.stdout is not None
        for _ in range(12):
            print(reached + step, file=saver.stdin, flush=True)
            child = int(saver.stdout.readline())
            finished = [int(saver.stdout.readline())]
            time.sleep(moments.uniform(0.0, 0.15))
            os.kill(child, signal.SIGKILL)
            finished += [int(line) for line in iter(saver.stdout.readline, "killed\n")]

            loaded = load_latest_state(tmp_path)
            assert loaded is not None
            assert loaded.skipped == []
            assert finished[-1] <= loaded.nimg <= finished[-1] + step
            assert all(bool((tensor == loaded.nimg).all()) for tensor in loaded.state["tensors"])
            assert len(list((tmp_path / "states").glob("state-*.pt"))) in (1, 2, 3)
            caught_writing += bool(list((tmp_path / "states").glob(".state-*.tmp.pt")))
            reached = loaded.nimg
        saver.stdin.close()
    assert caught_writing >= 1, "no kill fell into the writing of a file: the test proves little"
