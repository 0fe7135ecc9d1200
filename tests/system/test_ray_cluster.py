"""Work on a Ray cluster: in order, bounded, the same results as here; with a stand-in, and with Ray where it is."""

import importlib.util
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import tiny
from panohead.cli.main import main
from panohead.errors import PanoHeadError
from panohead.evaluation.fakes import FakeOrder, fake_batches
from panohead.evaluation.ray_engine import RayFakes
from panohead.geometry import Camera
from panohead.system.ray_cluster import connect, in_order_on
from system.ray_stand_in import StandIn


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> StandIn:
    """The stand-in in Ray's place."""
    made = StandIn()
    monkeypatch.setitem(sys.modules, "ray", made)
    return made


REAL = pytest.param(
    "real", marks=[pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="needs ray"), pytest.mark.slow]
)


@pytest.fixture(params=["stand-in", REAL])
def cluster(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A cluster on this machine."""
    if request.param == "stand-in":
        monkeypatch.setitem(sys.modules, "ray", StandIn())
        yield
        return
    import ray

    monkeypatch.setenv("PYTHONPATH", ":".join(path for path in sys.path if path))
    yield
    ray.shutdown()


def square(number: int, plus: int) -> int:
    if number == 13:
        raise PanoHeadError("thirteen is refused; give another")
    return number * number + plus


def test_results_come_in_order_and_few_wait(stand_in: StandIn) -> None:
    ray = connect("local", 3)
    assert stand_in.started == {"address": "local", "log_to_driver": False, "include_dashboard": False, "num_cpus": 3}
    assert list(in_order_on(ray, square, range(10), 3, 1)) == [number**2 + 1 for number in range(10)]
    assert stand_in.most == 6


def test_errors_of_the_work_are_those_of_one_machine(stand_in: StandIn) -> None:
    ray = connect("auto", 2)
    with pytest.raises(PanoHeadError, match="thirteen is refused"):
        list(in_order_on(ray, square, range(10, 20), 2, 0))
    assert stand_in.cancelled > 0
    with pytest.raises(PanoHeadError, match="a process of the cluster failed"):
        list(in_order_on(ray, square, ["text"], 1, 0))


def test_a_lost_machine_is_one_sentence(stand_in: StandIn) -> None:
    ray = connect("auto", 2)
    stand_in.lost = True
    with pytest.raises(PanoHeadError, match=r"the cluster lost a process \(The worker died\.\); run the command again"):
        list(in_order_on(ray, square, range(3), 2, 0))


def test_missing_packages_and_clusters(monkeypatch: pytest.MonkeyPatch, stand_in: StandIn) -> None:
    with pytest.raises(PanoHeadError, match="cannot reach a Ray cluster at nowhere:1"):
        connect("nowhere:1", 1)
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(PanoHeadError, match=r"--ray needs Ray, and .*panohead\[scale\]"):
        connect("auto", 1)


def test_a_node_that_comes_up_late_is_joined(stand_in: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its half a minute is fixed in Ray."""
    monkeypatch.delenv("RAY_GCS_SERVER_PORT", raising=False)
    stand_in.busy = 3
    assert connect("local", 1).is_initialized()
    assert stand_in.started is not None
    assert stand_in.started["address"] == stand_in.late_at
    assert "RAY_GCS_SERVER_PORT" not in os.environ
    stand_in.shutdown()
    stand_in.busy = 6
    said = r"Ray cannot start on this machine \(The current node timed out during startup\); try again when"
    with pytest.raises(PanoHeadError, match=said):
        connect("local", 1)
    assert stand_in.busy == 0
    stand_in.busy = 2
    with pytest.raises(PanoHeadError, match=r"cannot reach a Ray cluster at 10\.0\.0\.1:6379"):
        connect("10.0.0.1:6379", 1)
    assert stand_in.busy == 1, "a cluster that is elsewhere is asked once"


def test_fakes_are_the_same(cluster: None) -> None:
    generator = tiny.generator()
    labels = torch.stack([Camera.orbit(yaw, 5.0).to_label() for yaw in (0.0, 60.0, -120.0)])
    order = FakeOrder(route="forward", count=5, seed=3, batch=2)
    here = list(fake_batches(generator, labels, order))
    there = list(RayFakes("local", 2)(generator, labels, order))
    assert [len(batch.images) for batch in there] == [2, 2, 1]
    for one, other in zip(here, there, strict=True):
        assert (one.images.int() - other.images.int()).abs().max() <= 1
        assert torch.equal(one.labels, other.labels)


def files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name not in ("settings.json", "run.yaml")
    }


def test_synthetic_people_are_the_same_bytes(
    cluster: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    words = [
        "synthesize",
        "--people",
        "2",
        "--views",
        "1",
        "--expressions",
        "1",
        "--resolution",
        "16",
        "--workers",
        "1",
    ]
    assert main([*words, "--out", "here"]) == 0
    assert main([*words, "--out", "there", "--ray", "local"]) == 0
    assert files(tmp_path / "there") == files(tmp_path / "here")
    capsys.readouterr()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--metrics", "cost", "--ray", "auto"], "--ray does nothing without"),
        (["--metrics", "cost", "--workers", "3"], "--workers does nothing without --ray"),
        (["--metrics", "swd", "--ray", "auto", "--device", "cuda"], "leave --device out"),
    ],
)
def test_options_without_effect_are_refused(
    words: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", *words, "--out", str(tmp_path / "out")]) == 2
    assert said in capsys.readouterr().err


def test_prepare_needs_ray_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from panohead.preparation.ray_engine import ray_engine

    monkeypatch.setitem(sys.modules, "ray", None)
    values: Any = ("auto", 1)
    with pytest.raises(PanoHeadError, match="--ray needs Ray"):
        ray_engine(*values)
