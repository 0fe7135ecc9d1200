"""The regularization of views that no photo shows."""

from itertools import pairwise

import pytest
import torch.nn.functional as F

import tiny
from panohead.geometry import Camera
from panohead.inversion.regularizers.unseen import UnseenViews, coprime, unseen_cameras


def test_unseen_cameras_are_far_from_the_photos() -> None:
    found = unseen_cameras([Camera.orbit(0), Camera.orbit(90)], 60)
    assert len(found) >= 4
    for camera in found:
        towards = F.normalize(camera.position, dim=0)
        assert max(float(towards[0]), float(towards[2])) <= 0.5 + 1e-6
    assert unseen_cameras([Camera.orbit(yaw) for yaw in (0, 90, 180, 270)], 60) == []


def test_unseen_views_pull_a_changed_head_back() -> None:
    generator = tiny.generator()
    ws = generator.mapping_network.w_avg.expand(1, generator.backbone.num_ws, -1)
    unseen = UnseenViews(generator, ws, [Camera.orbit(0)], least_angle_deg=60)
    same = generator.field(ws)
    assert all(float(unseen.difference(generator, same, ws, step)) < 1e-5 for step in range(unseen.count))
    generator.decoder.output.bias[0] += 3
    generator.requires_grad_(True)
    changed = unseen.difference(generator, generator.field(ws), ws, 0)
    assert float(changed.detach()) > 0.005
    changed.backward()
    gradients = [p.grad for p in generator.parameters() if p.grad is not None]
    assert gradients
    assert all(bool(g.isfinite().all()) for g in gradients)


def test_raw_comparison_does_not_depend_on_super_resolution_and_background() -> None:
    generator = tiny.generator().requires_grad_(False)
    assert generator.background is not None
    ws = generator.mapping_network.w_avg.expand(1, generator.backbone.num_ws, -1)
    unseen = UnseenViews(generator, ws, [Camera.orbit(0)], least_angle_deg=60)
    for network in (generator.superresolution, generator.background):
        for parameter in network.parameters():
            parameter.mul_(1.5)
    field = generator.field(ws)
    assert float(unseen.difference(generator, field, ws, 0, superresolve=False)) < 1e-5
    assert float(unseen.difference(generator, field, ws, 0)) > 1e-3


@pytest.mark.parametrize("count", range(1, 13))
def test_unseen_views_take_turns(count: int) -> None:
    visited = [turn * coprime(count) % count for turn in range(count)]
    assert sorted(visited) == list(range(count))
    if count > 6:
        apart = [min((a - b) % count, (b - a) % count) for a, b in pairwise(visited)]
        assert min(apart) > 1, "neighbors do not follow each other"
