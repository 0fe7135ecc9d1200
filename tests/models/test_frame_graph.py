"""Recorded frames, with a stand-in for CUDA's recording; the real one is tested on a GPU."""

from collections.abc import Callable

import pytest
import torch

import tiny
from panohead.geometry import Camera
from panohead.models.frame_graph import AFTER, FrameGraph, FrameGraphs
from panohead.models.generator import Rendering
from panohead.ops import fast_paths
from panohead.predictor import Predictor


def _record(function: Callable[[], Rendering]) -> tuple[Rendering, Callable[[], None]]:
    """As a CUDA graph does: every repetition writes to the memory of the first result."""
    output = function()

    def replay() -> None:
        for name in ("image", "image_raw", "depth", "mask", "features", "weights"):
            getattr(output, name).copy_(getattr(function(), name))

    return output, replay


def _renderer() -> Callable[[Camera], Rendering]:
    head = Predictor(tiny.generator()).sample(0)

    def render(camera: Camera) -> Rendering:
        with torch.no_grad():
            return head.generator.render_view(head.field, head.ws, camera, background=head.background)

    return render


def test_replayed_views_are_those_of_their_cameras() -> None:
    render = _renderer()
    graph = FrameGraph(render, Camera.orbit(0).expand(1), _record)
    views = [graph(Camera.orbit(yaw).expand(1)) for yaw in (0, 50, 170)]
    for yaw, view in zip((0, 50, 170), views, strict=True):
        expected = render(Camera.orbit(yaw).expand(1))
        assert torch.equal(view.image, expected.image)
        assert torch.equal(view.depth, expected.depth)


def test_on_a_cpu_nothing_is_recorded() -> None:
    graphs, render = FrameGraphs(lambda function: pytest.fail("recorded")), _renderer()
    for _ in range(AFTER + 2):
        graphs.render("full", render, Camera.orbit(20).expand(1))


def test_each_kind_of_view_is_recorded_once_it_recurs() -> None:
    recorded = 0

    def record(function: Callable[[], Rendering]) -> tuple[Rendering, Callable[[], None]]:
        nonlocal recorded
        recorded += 1
        return _record(function)

    graphs, render = FrameGraphs(record, "cpu"), _renderer()
    for i in range(AFTER + 2):
        for kind in ("full", "preview"):
            camera = Camera.orbit(30 * i).expand(1)
            assert torch.equal(graphs.render(kind, render, camera).image, render(camera).image)
        assert recorded == (2 if i >= AFTER else 0)
    with fast_paths.plain_only():
        graphs.render("third", render, camera)


def test_a_failure_is_one_warning_and_the_plain_way() -> None:
    def fail(function: Callable[[], Rendering]) -> tuple[Rendering, Callable[[], None]]:
        raise RuntimeError("operation not permitted when stream is capturing\nmore")

    graphs, camera = FrameGraphs(fail, "cpu"), Camera.orbit(20).expand(1)
    plain = _renderer()(camera)
    for _ in range(AFTER):
        assert graphs.render("full", lambda _: plain, camera) is plain
    with pytest.warns(RuntimeWarning, match="cannot be recorded as a CUDA graph"):
        assert graphs.render("full", lambda _: plain, camera) is plain
    assert graphs.render("full", lambda _: plain, camera) is plain
