"""On a CUDA device: no hidden wait, recorded frames, the fast settings near the exact ones."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

import tiny
from hidden_waits import training_with_all_updates
from panohead.geometry import Camera
from panohead.head import Head
from panohead.models.frame_graph import AFTER
from panohead.models.precision import use_half_precision
from panohead.ops import fast_paths
from panohead.ops.precision import set_precision
from panohead.ops.resample import fir_filter, upfirdn2d
from panohead.predictor import Predictor
from panohead.training.distributed.ranks import Ranks
from panohead.training.losses import RealBatch
from panohead.training.networks import make_networks
from panohead.training.run.running_means import RunningMeans
from panohead.training.step import StepState, TrainingStep

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]


@pytest.fixture(autouse=True)
def _parity() -> None:
    set_precision("parity")


def _head() -> Head:
    return Predictor(tiny.generator().cuda()).sample(0)


def _eager(head: Head, camera: Camera) -> Tensor:
    with torch.no_grad():
        generator, on_gpu = head.generator, camera.expand(1).to("cuda")
        return generator.render_view(head.field, head.ws, on_gpu, background=head.background).image[0]


def test_frames_do_not_wait() -> None:
    head, camera = _head(), Camera.orbit(20)
    head.render(camera)
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        _eager(head, camera)
        head.preview(camera)
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_recorded_frames_are_the_plain_ones() -> None:
    head = _head()
    cameras = [Camera.orbit(yaw) for yaw in range(0, 360, 30)]
    images = [head.render(camera).image for camera in cameras]
    assert len(cameras) > AFTER
    assert head._graphs._graphs, "no frame was recorded"
    for camera, image in zip(cameras, images, strict=True):
        torch.testing.assert_close(image, _eager(head, camera), atol=2e-3, rtol=0)  # half-precision super-resolution


def test_a_training_step_does_not_wait() -> None:
    """All four updates, up to the one check of the losses at the end."""
    config, device = training_with_all_updates(), torch.device("cuda")
    side = config.resolution
    photos = RealBatch(*(torch.rand(4, *shape, device=device) for shape in ((3, side, side), (1, side, side), (25,))))
    labels = torch.stack([Camera.orbit(yaw).to_label() for yaw in (0, 40, 80, 120)]).cuda()
    photos = replace(photos, label=labels)

    class Labels:
        def random_labels(self, count: int, generator: torch.Generator) -> Tensor:
            return labels[torch.randint(len(labels), (count,), device=device, generator=generator)]

    networks, ranks = make_networks(config, device), Ranks(rank=0, world_size=1, local_rank=0, device=device)
    for turn in range(2):  # the filters of augmentation are copied to the device once
        state = StepState(nimg=200, step=16, augment_probability=0.5)
        step = TrainingStep(config, networks, Labels(), ranks, RunningMeans(), state, photos)
        finish, step.divergence.finish = step.divergence.finish, lambda: None  # type: ignore[method-assign]
        torch.cuda.set_sync_debug_mode("error" if turn else "default")
        try:
            step.run()
        finally:
            torch.cuda.set_sync_debug_mode("default")
        finish()


@pytest.mark.parametrize(("up", "down"), [(1, 1), (2, 1), (1, 2)])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_resampling(up: int, down: int, layout: torch.memory_format) -> None:
    x = torch.randn(2, 32, 64, 64, device="cuda").to(memory_format=layout)
    padding = (2, 1, 2, 1) if up == 2 else (1, 1, 1, 1)
    found = upfirdn2d(x, fir_filter().cuda(), up=up, down=down, padding=padding, gain=up * up)
    with fast_paths.plain_only():
        expected = upfirdn2d(x, fir_filter().cuda(), up=up, down=down, padding=padding, gain=up * up)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("half_dtype", "limit"), [("float16", 0.02), ("bfloat16", 0.15)])
def test_half_precision_is_near(half_dtype: str, limit: float) -> None:
    exact = _head().render(Camera.orbit(30)).image
    generator = tiny.generator().cuda()
    use_half_precision(generator, half_dtype)  # type: ignore[arg-type]
    found = Predictor(generator).sample(0).render(Camera.orbit(30)).image
    assert float((found - exact).abs().max()) < limit * float(exact.std())
