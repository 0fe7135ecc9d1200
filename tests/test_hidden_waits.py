"""No hidden wait for the device: frames, training steps and reconstruction steps on a device that has no numbers."""

import contextlib
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

import tiny
from hidden_waits import DEVICE, hidden_waits, training_with_all_updates
from panohead.geometry import Camera
from panohead.head import Head
from panohead.inversion.optimization import OptimizationRun, ParameterGroup, Plateau, optimize
from panohead.inversion.optimization.run import READ_EVERY
from panohead.models.generator import Generator
from panohead.training import step as training_step
from panohead.training.distributed.ranks import Ranks
from panohead.training.losses import RealBatch
from panohead.training.networks import make_networks
from panohead.training.run.running_means import RunningMeans
from panohead.training.step import StepState, TrainingStep


def _head(generator: Generator) -> Head:
    return Head(generator, torch.empty(1, generator.backbone.num_ws, generator.config.w_dim, device=DEVICE))


@pytest.mark.parametrize(
    "wait",
    [
        lambda x: float(x.sum()),
        lambda x: bool((x > 0).any()),
        lambda x: torch.equal(x, x),
        lambda x: x.sum().item(),
        lambda x: x.cpu(),
        lambda x: x.to("cpu", torch.float64),
        lambda x: (x > 0).nonzero(),
        lambda x: x[[0, 1]],
        lambda x: torch.tensor([1.0, 2.0], device=x.device),
        lambda x: torch.as_tensor(0.5, device=x.device),
        lambda x: x.new_tensor([1.0]),
        lambda x: torch.zeros(3).to(x.device),
        lambda x: x.copy_(torch.zeros(3)),
    ],
)
def test_the_guard_finds(wait: Callable[[Tensor], object]) -> None:
    with hidden_waits() as waits:
        wait(torch.empty(3, device=DEVICE))
    assert len(waits.found) == 1


def test_the_guard_lets_pass() -> None:
    x = torch.empty(3, device=DEVICE)
    with hidden_waits() as waits:
        _ = torch.where(x > 0, x, 0.5) * 2 + torch.arange(3, device=DEVICE)
        _ = x.new_full((), 0.5) + torch.tensor(3.0)
        x.add_(x[0:2].sum())
        torch.zeros(3).to(DEVICE, non_blocking=True)
    assert not waits.found
    assert len(waits.uploads) == 1


@pytest.mark.parametrize("rays", ["fixed", "auto"])
def test_frames(rays: str) -> None:
    """The first view of a head and later ones; the camera alone goes to the device, without waiting."""
    generator = tiny.generator().to(DEVICE)
    if rays == "auto":
        rendering = replace(generator.config.rendering, ray_start="auto", ray_end="auto")
        generator.config = replace(generator.config, rendering=rendering)
    head = _head(generator)
    for render in (head.render, head.render, head.preview):
        with hidden_waits() as waits:
            render(Camera.orbit(20))
        assert waits.found == []
        assert len(waits.uploads) == 2  # cam2world and intrinsics


def test_cameras_of_a_batch_are_moved_without_lists() -> None:
    label = torch.empty(2, 25, device=DEVICE)
    generator = tiny.generator().to(DEVICE)
    with hidden_waits() as waits, torch.no_grad():
        generator(torch.empty(2, 8, device=DEVICE), label, ray_jitter=0.5, importance_u="even")
    assert waits.found == []


class _Labels:
    """A label source without a dataset."""

    def random_labels(self, count: int, generator: torch.Generator) -> Tensor:
        return torch.empty(count, 25, device=DEVICE)


class _DeviceGenerator(torch.Generator):
    """A source of random numbers that says it is on the device: "meta" has none of its own."""

    @property
    def device(self) -> torch.device:
        return DEVICE


def test_training_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """All four updates with augmentation: one read a step, that of the losses' finiteness."""
    monkeypatch.setattr(training_step, "seeded", lambda device, *key: _DeviceGenerator())
    monkeypatch.setattr(torch, "autocast", lambda *args, **options: contextlib.nullcontext())  # not known on "meta"
    config = training_with_all_updates()
    side = config.resolution
    photos = RealBatch(*(torch.empty(4, *shape, device=DEVICE) for shape in ((3, side, side), (1, side, side), (25,))))
    networks, ranks = make_networks(config, DEVICE), Ranks(rank=0, world_size=1, local_rank=0, device=DEVICE)

    def run() -> list[str]:
        state = StepState(nimg=200, step=16, augment_probability=0.5)
        step = TrainingStep(config, networks, _Labels(), ranks, RunningMeans(), state, photos)
        with hidden_waits() as waits:
            step.run()
        assert step.real_logits
        return waits.found

    run()  # the filters of augmentation are copied to the device once
    found = run()
    assert len(found) == 1
    assert "divergence.py" in found[0]


def test_losses_of_a_tick_are_read_at_once() -> None:
    means = RunningMeans()
    means.add(first=torch.empty(2, device=DEVICE), second=torch.empty(3, device=DEVICE), third=1.0)
    with hidden_waits() as waits:
        means.means()
    assert len(waits.found) == 1


def test_reconstruction_reads_its_losses_every_few_steps() -> None:
    x = torch.empty(3, device=DEVICE, requires_grad=True)
    optimization = OptimizationRun()

    def losses(step: int) -> dict[str, Tensor]:
        return {"loss": x.square().sum(), "photos": x.sum(), "mask": x.mean()}

    with hidden_waits() as waits:
        group, plateau = ParameterGroup([x], 0.1), Plateau(patience=99)
        optimize("search", [group], losses, 3 * READ_EVERY, optimization, plateau=plateau, criterion="photos")
    assert len(waits.found) == 3
    assert [step.number for step in optimization.log.steps] == list(range(1, 3 * READ_EVERY + 1))


def test_other_devices_do_not_wait_for_numba() -> None:
    code = (
        "import sys, torch, tiny\n"
        "from panohead.geometry import Camera\n"
        "from panohead.head import Head\n"
        "generator = tiny.generator().to('meta')\n"
        "head = Head(generator, torch.empty(1, generator.backbone.num_ws, 16, device='meta'))\n"
        "head.render(Camera.orbit(20))\n"
        "generator.train().requires_grad_(True)\n"
        "generator.synthesis(head.ws, Camera.orbit(20).expand(1).to('meta').to_label()).image.sum().backward()\n"
        "sys.exit('numba' in sys.modules)\n"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parent, check=False).returncode == 0
