"""The fast part of the campaign, and tests that the campaign can find what it looks for."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hostile.campaign import as_table, counts, plan
from hostile.families import FAMILIES, make
from hostile.fuzz import TARGETS, fuzz
from hostile.kills import COMMANDS
from hostile.runner import KINDS, Case, CommandServer, judge

SEED = 2
FAST = {
    "training settings": 12,
    "checkpoint file": 12,
    "dataset labels": 6,
    "synthetic folder": 8,
    "dataset shards": 4,
    "official pickle": 4,
    "dataset archives": 4,
    "dataset images": 4,
    "named images": 3,
}
"""Inputs of the fast part by family: those whose commands end within a second."""
INPUTS = 12
"""Damaged files for each reader in the fast part."""


@pytest.fixture(scope="module")
def server() -> Iterator[CommandServer]:
    with CommandServer() as opened:
        yield opened


@pytest.mark.parametrize("family", FAST)
def test_commands(family: str, tmp_path: Path, server: CommandServer) -> None:
    for index in range(FAST[family]):
        folder = tmp_path / str(index)
        folder.mkdir()
        case = make(family, index, SEED, folder)
        if case.argv[0] == "train" and "--dry-run" not in case.argv:
            continue  # on a fresh machine kernels would be compiled first, for a minute
        outcome = server.run(case)
        assert outcome.faults == (), f"{case.argv} ({case.note}): {outcome}"


@pytest.mark.parametrize("target", TARGETS)
def test_readers(target: str, tmp_path: Path) -> None:
    found = fuzz(target, tmp_path / "valid", INPUTS, SEED)
    assert found["inputs"] >= INPUTS - 2
    assert found["faults"] == [], found["examples"]


def result(**changes: Any) -> dict[str, Any]:
    clean = {"code": 1, "stderr": "panohead: a.json is wrong\n", "stdout": "", "hung": False, "bytes": 0}
    return clean | {"seconds": 0.1, "started": [], "outside": []} | changes


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({}, None),
        ({"started": ["gs --version"]}, "code started"),
        ({"stderr": "Traceback (most recent call last):\n a.json"}, "traceback"),
        ({"hung": True, "code": 137}, "hang"),
        ({"code": 139}, "wrong code"),
        ({"stderr": "panohead: unexpected KeyError: a.json"}, "unexpected"),
        ({"stderr": "panohead: something is wrong"}, "unnamed file"),
        ({"bytes": 2 << 30}, "memory"),
        ({"outside": ["/etc/passwd"]}, "outside"),
    ],
)
def test_every_fault_is_found(changes: dict[str, Any], fault: str | None, tmp_path: Path) -> None:
    case = Case("", 0, (), tmp_path, names=("a.json",), codes=(0, 1, 2))
    assert judge(case, result(**changes)).faults == (() if fault is None else (fault,))


def test_a_changed_or_missing_victim_is_outside(tmp_path: Path) -> None:
    case = Case("", 0, (), tmp_path, victims=("victim",))
    assert judge(case, result()).faults == ("outside",)
    (tmp_path / "victim").write_bytes(b"x")
    assert judge(case, result()).faults == ()
    (tmp_path / "victim").write_bytes(b"xy")
    assert judge(case, result()).faults == ("outside",)


def test_a_canary_is_code_that_was_started(tmp_path: Path) -> None:
    (tmp_path / "canary_was_touched").write_text("")
    assert judge(Case("", 0, (), tmp_path), result()).faults == ("code started",)


PROBE = """
import os, subprocess, pathlib, signal
import panohead.cli.main as target
def main(arguments):
    exec(arguments[0])
    return 0
target.main = main
"""


@pytest.fixture(scope="module")
def probe(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CommandServer]:
    """A server in which Python lines take the place of command lines."""
    file = tmp_path_factory.mktemp("probe") / "probe.py"
    file.write_text(PROBE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOSTILE_PROBE", str(file))
        with CommandServer() as server:
            yield server


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        ("subprocess.run(['true'])", "code started"),
        ("os.system('true')", "code started"),
        ("exec(compile('1', os.path.join(os.getcwd(), 'torch.py'), 'exec'))", "code started"),
        ("pathlib.Path('../outside.txt').write_text('x')", "outside"),
        ("os.rename('inside.txt', '../outside.txt')", "outside"),
        ("raise ValueError('boom')", "traceback"),
        ("x = bytearray(1300 << 20); x[::4096] = bytes(len(x[::4096]))", "memory"),
        ("os.kill(os.getpid(), signal.SIGSEGV)", "wrong code"),
        ("pathlib.Path('inside.txt').write_text('x')", None),
        ("pathlib.Path('closed.txt').touch(0); pathlib.Path('closed.txt').read_text()", "traceback"),
        ("os.mkdir('closed', 0); os.listdir('closed')", "traceback"),
    ],
)
def test_the_watch_sees_what_a_command_does(body: str, fault: str | None, tmp_path: Path, probe: CommandServer) -> None:
    folder = tmp_path / "case"
    folder.mkdir()
    (folder / "inside.txt").write_text("x")
    outcome = probe.run(Case("", 0, (body,), folder, codes=(0, 1)))
    assert fault in outcome.faults if fault else not outcome.faults, outcome


def test_the_plan_has_all_families_early_and_the_right_shares() -> None:
    order = list(plan(2000))
    assert 1900 < len(order) < 2100
    assert len(set(order)) == len(order)
    assert {name for name, _ in order[:200]} == set(FAMILIES)


def test_counts_are_by_family_and_add_up() -> None:
    records = [
        {"family": "b", "faults": ["hang", "memory"]},
        {"family": "a", "faults": [], "inputs": 250},
        {"family": "b", "faults": []},
    ]
    table = counts(records)
    assert list(table) == ["a", "b", "all"]
    assert (table["all"]["inputs"], table["b"]["hang"], table["all"]["memory"], table["a"]["hang"]) == (252, 1, 1, 0)
    assert as_table(table).count("\n") == 4
    assert all(kind in as_table(table) for kind in KINDS)


def test_every_command_that_survives_kills_is_killed() -> None:
    assert set(COMMANDS) == {"synthesize", "prepare", "train", "reconstruct"}
