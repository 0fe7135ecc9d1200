"""GRAF's patches: where they may lie, and that rays and photos are taken at the same places."""

import torch

from panohead.geometry import Camera, rays_from_camera
from panohead.training.ray_windows import PatchConfig, Windows

SIDE = 8


def test_windows_lie_in_the_image_and_cover_it() -> None:
    rng = torch.Generator().manual_seed(0)
    windows = Windows.random(4000, 0.25, rng)
    assert windows.corner.min() >= 0
    assert (windows.corner + windows.share).max() <= 1 + 1e-6
    assert 0.25 <= float(windows.share.min()) < 0.26
    assert 0.99 < float(windows.share.max()) <= 1
    x, y = windows.places(SIDE)
    assert x.shape == y.shape == (4000, SIDE)
    for places in (x, y):
        counts = torch.histc(places.flatten(), 16, 0, 1)
        assert counts.min() > 0, "every part of the image is shown"
        assert torch.allclose(places.diff(dim=1), windows.share / SIDE, atol=1e-6)


def test_smallest_window_shrinks_from_the_whole_image() -> None:
    config = PatchConfig(side=SIDE, min_share=0.25, fade_kimg=2.0)
    assert [config.smallest(n) for n in (0, 1000, 2000, 9000)] == [1.0, 0.625, 0.25, 0.25]
    whole = Windows.random(3, config.smallest(0), torch.Generator().manual_seed(0))
    assert (whole.share == 1).all()
    assert (whole.corner == 0).all()
    label = Camera.orbit(40.0, 10.0).expand(3).to_label()
    assert torch.equal(whole.labels(label), label)


def test_rays_of_a_window_are_those_of_the_image() -> None:
    """A window of half the side with half the rays at (4, 6) of 16: its rays are the image's own, bit for bit or so."""
    camera = Camera.orbit(130.0, -20.0).expand(1)
    windows = Windows(torch.tensor([[4 / 16, 6 / 16]]), torch.tensor([[0.5]]))
    origins, directions = rays_from_camera(Camera.from_label(windows.labels(camera.to_label())), SIDE)
    all_origins, all_directions = (x.unflatten(1, (16, 16)) for x in rays_from_camera(camera, 16))
    for found, expected in ((origins, all_origins), (directions, all_directions)):
        assert torch.allclose(found.unflatten(1, (SIDE, SIDE)), expected[:, 6:14, 4:12], atol=1e-5)


def test_photos_are_cut_at_the_places_of_the_rays() -> None:
    torch.manual_seed(0)
    images = torch.randn(2, 3, 16, 16)
    windows = Windows(torch.tensor([[4 / 16, 6 / 16], [0.0, 8 / 16]]), torch.tensor([[0.5], [0.5]]))
    found = windows.cut(images, SIDE)
    assert torch.allclose(found[0], images[0, :, 6:14, 4:12], atol=1e-5)
    assert torch.allclose(found[1], images[1, :, 8:, :8], atol=1e-5)
    # An image of the coordinates themselves: bilinear sampling is exact between pixel centers.
    steps = (torch.arange(16) + 0.5) / 16
    ramp = torch.stack([steps.expand(16, 16), steps[:, None].expand(16, 16)])[None]
    windows = Windows(torch.tensor([[0.21, 0.33]]), torch.tensor([[0.43]]))
    x, y = windows.places(SIDE)
    cut = windows.cut(ramp, SIDE)[0]
    assert torch.allclose(cut[0], x.expand(SIDE, -1), atol=1e-5)
    assert torch.allclose(cut[1], y[0][:, None].expand(-1, SIDE), atol=1e-5)
