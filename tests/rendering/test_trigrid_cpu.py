"""The compiled tri-grid sampler against the plain one: values, both gradients, and when it steps aside."""

import pytest
import torch

from panohead.ops import fast_paths
from panohead.ops.cpu.jit import available
from panohead.rendering.trigrid import EG3D_AXES, PANOHEAD_AXES, PlaneAxes, sample_trigrid
from panohead.rendering.trigrid_cpu import sample_trigrid_cpu, unsupported

needs_numba = pytest.mark.skipif(not available(), reason="numba is not installed")


@needs_numba
@pytest.mark.parametrize("axes", [PANOHEAD_AXES, EG3D_AXES])
@pytest.mark.parametrize("depth", [1, 2, 3])
@pytest.mark.parametrize("threads", [1, 2])
def test_values_and_gradients(axes: PlaneAxes, depth: int, threads: int) -> None:
    generator = torch.Generator().manual_seed(depth)
    results = []
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        for sample in (sample_trigrid, sample_trigrid_cpu):
            generator.manual_seed(depth)
            planes = torch.randn(2, 3, 8, depth, 7, 9, generator=generator, requires_grad=True)
            # Some points lie outside the box: zeros are there.
            points = (torch.rand(2, 5000, 3, generator=generator) * 1.4 - 0.7).requires_grad_(True)
            out = sample(planes, points, box_warp=1.1, axes=axes)
            (out * torch.randn(out.shape, generator=generator)).sum().backward()
            results.append((out.detach(), planes.grad, points.grad))
    finally:
        torch.set_num_threads(before)
    for plain, fast in zip(*results, strict=True):
        assert plain is not None
        assert fast is not None
        torch.testing.assert_close(fast, plain, atol=2e-4 * float(plain.abs().max()) / 10, rtol=1e-4)


@needs_numba
def test_same_result_whatever_the_number_of_threads() -> None:
    planes, points = torch.randn(1, 3, 4, 2, 6, 6), torch.rand(1, 9000, 3) - 0.5
    before, results = torch.get_num_threads(), []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        wanted = planes.clone().requires_grad_(True)
        sample_trigrid_cpu(wanted, points, box_warp=1.0).square().sum().backward()
        results.append(wanted.grad)
    torch.set_num_threads(before)
    assert torch.equal(*results)


def test_it_steps_aside() -> None:
    planes, points = torch.zeros(1, 3, 8, 2, 4, 4), torch.zeros(1, 4096, 3)
    if available():
        assert unsupported(planes, points) is None
    assert unsupported(planes.double(), points.double()) is not None
    assert unsupported(planes, points[:, :10]) is not None
    assert unsupported(planes, points, "bilinear") is not None
    with fast_paths.plain_only():
        assert unsupported(planes, points) == "fast paths are switched off"


@needs_numba
def test_a_gradient_of_the_gradient_is_the_plain_one() -> None:
    generator = torch.Generator().manual_seed(1)
    planes = torch.randn(1, 3, 4, 2, 5, 5, generator=generator)
    points = torch.rand(1, 3000, 3, generator=generator) - 0.5
    results = []
    for sample in (sample_trigrid, sample_trigrid_cpu):
        p, x = planes.clone().requires_grad_(True), points.clone().requires_grad_(True)
        (slope,) = torch.autograd.grad(sample(p, x, box_warp=1.0).square().sum(), x, create_graph=True)
        (slope.norm(dim=-1) - 1).square().mean().backward()
        results.append(p.grad)
    torch.testing.assert_close(results[0], results[1], rtol=1e-4, atol=1e-6)
