"""The multi-view warm start on synthetic images: it learns, resumes exactly, and ends in a generator to sample from."""

import copy
import io

import pytest
import torch

from panohead.geometry import Camera
from panohead.models.generator_config import GeneratorConfig
from panohead.models.superresolution import SuperResolutionConfig
from panohead.rendering.renderer import RenderConfig
from panohead.stylegan.layers import normalize_second_moment
from panohead.training.warm_start.fit import WarmStart, WarmStartConfig, fold_codes, rate_factor
from panohead.training.warm_start.multiview import MultiViewData
from panohead.training.warm_start.patches import patch_losses, patch_rays, pick_patches

PEOPLE, VIEWS = 3, 4


def tiny_config(**changes: object) -> WarmStartConfig:
    generator = GeneratorConfig(
        z_dim=8,
        w_dim=16,
        conditioning_scale=0.0,
        trigrid_resolution=16,
        trigrid_channels=4,
        feature_channels=4,
        neural_rendering_resolution=16,
        channel_base=128,
        channel_max=8,
        rendering=RenderConfig(depth_samples=8, importance_samples=8, ray_start=2.3, ray_end=3.1, crop_margin=0.0),
        superresolution=SuperResolutionConfig(kind="2x", half_precision=False, channels=(4, 4)),
        use_background=False,
        use_camera_alignment=False,
    )
    settings = {
        "generator": generator,
        "steps": 40,
        "coarse_steps": 20,
        "people_per_step": 2,
        "views_per_person": 2,
        "patch": 8,
        "coarse_samples": 8,
        "fine_samples": 6,
        "warmup_steps": 5,
    }
    return WarmStartConfig(**(settings | changes))  # type: ignore[arg-type]


def made_up_people() -> MultiViewData:
    """Discs of one color per person, on white, the same from every side."""
    steps = (torch.arange(32) + 0.5) / 32 - 0.5
    disc = (steps[:, None].square() + steps.square() < 0.3**2).float()[None]
    colors = torch.tensor([[200.0, 30, 30], [30, 200, 30], [30, 30, 200]])
    person = torch.arange(PEOPLE).repeat_interleave(VIEWS)
    images = colors[person][:, :, None, None] * disc + 255 * (1 - disc)
    labels = torch.stack([Camera.orbit(yaw).to_label() for yaw in (0, 90, 180, 270)]).repeat(PEOPLE, 1)
    masks = (disc * 255).expand(len(person), 1, 32, 32)
    return MultiViewData(images.byte(), masks.byte(), labels, person)


def error(fit: WarmStart, data: MultiViewData) -> dict[str, float]:
    """Losses on patches that are the same at every call."""
    rng = torch.Generator().manual_seed(0)
    batch = pick_patches(data, people=PEOPLE, views=VIEWS, patch=8, resolution=16, rng=rng)
    losses = patch_losses(batch, fit.render(batch), detail_weight=1.0, mask_weight=1.0, picture_weight=1.0)
    return {name: loss.item() for name, loss in losses.items()}


def test_losses_fall_through_both_phases() -> None:
    data, fit = made_up_people(), WarmStart(tiny_config(learning_rate=2e-2, warmup_steps=2), PEOPLE)
    start = error(fit, data)
    assert all("image" not in fit.step(data) for _ in range(20))
    middle = error(fit, data)
    assert all("image" in fit.step(data) for _ in range(20))
    end = error(fit, data)
    assert middle["color"] < 0.8 * start["color"]
    assert middle["mask"] < 0.8 * start["mask"]
    assert end["image"] < 0.9 * middle["image"]
    assert end["total"] < 0.6 * start["total"]


@pytest.mark.parametrize("interrupted_at", [3, 21])
def test_resuming_gives_the_same_weights_bit_for_bit(interrupted_at: int) -> None:
    data, config = made_up_people(), tiny_config(coarse_steps=20)
    straight = WarmStart(config, PEOPLE)
    for _ in range(interrupted_at):
        straight.step(data)
    stored = io.BytesIO()
    torch.save(straight.state_dict(), stored)
    stored.seek(0)
    resumed = WarmStart(tiny_config(coarse_steps=20, seed=5), PEOPLE)
    resumed.load_state_dict(torch.load(stored, weights_only=True))
    for _ in range(3):
        assert straight.step(data) == resumed.step(data)
    for name, value in straight.average.state_dict().items():
        assert torch.equal(value, resumed.average.state_dict()[name]), name
    assert torch.equal(straight.codes.weight, resumed.codes.weight)


def test_position_maps_start_at_zero_and_are_learnt_with_their_average() -> None:
    data, fit = made_up_people(), WarmStart(tiny_config(), PEOPLE)
    maps = [value for name, value in fit.average.state_dict().items() if "backbone" in name and "noise_const" in name]
    assert len(maps) == 5
    assert all(not values.any() for values in maps)
    for _ in range(2):
        fit.step(data)
    assert all(values.any() for values in maps)
    strengths = [
        value for name, value in fit.generator.state_dict().items() if "backbone" in name and "strength" in name
    ]
    assert all(strength == 1 for strength in strengths)


def test_fixed_codes_stay() -> None:
    data, fit = made_up_people(), WarmStart(tiny_config(learn_codes=False), PEOPLE)
    before = fit.codes.weight.detach().clone()
    fit.step(data)
    assert torch.equal(fit.codes.weight, before)


def test_finished_generator_draws_as_the_codes_were_spread() -> None:
    fit = WarmStart(tiny_config(), 64)
    with torch.no_grad():
        fit.codes.weight.mul_(torch.linspace(0.2, 2, 8)).add_(0.7)
    folded = copy.deepcopy(fit.average)
    fold_codes(folded, fit.codes.weight.detach())
    normalized = normalize_second_moment(fit.codes.weight.detach())
    first, after = fit.average.mapping_network.layers["fc0"], folded.mapping_network.layers["fc0"]

    def before_activation(layer: torch.nn.Module, z: torch.Tensor) -> torch.Tensor:
        weight, bias = layer.scaled()
        return z @ weight[:, :8].T + bias

    z = torch.randn(200_000, 8, generator=torch.Generator().manual_seed(0))
    wanted, found = before_activation(first, normalized), before_activation(after, z)
    torch.testing.assert_close(found.mean(dim=0), wanted.mean(dim=0), atol=0.02, rtol=0.02)
    torch.testing.assert_close(torch.cov(found.T), torch.cov(wanted.T), atol=0.02, rtol=0.03)


def test_finished_generator_knows_its_mean() -> None:
    finished = WarmStart(tiny_config(), PEOPLE).finished()
    z = torch.randn(4000, 8, generator=torch.Generator().manual_seed(9))
    mean = finished.mapping(z, torch.zeros(4000, 25))[:, 0].mean(dim=0)
    torch.testing.assert_close(finished.mapping_network.w_avg, mean, atol=0.1, rtol=0.05)
    assert not finished.training


def test_patches_and_rays_belong_together() -> None:
    """The ray of a patch's pixel is the ray of that pixel in the whole view, and so is its color."""
    data = made_up_people()
    positions = torch.arange(32 * 32).reshape(32, 32) % 251
    data = MultiViewData(positions.expand(12, 3, 32, 32).byte(), data.masks, data.labels, data.person)
    rng = torch.Generator().manual_seed(1)
    batch = pick_patches(data, people=2, views=2, patch=8, resolution=16, rng=rng)
    whole = pick_patches(data, people=2, views=2, patch=16, resolution=16, rng=rng)
    assert whole.offsets.tolist() == [[0, 0]] * 4
    y, x = batch.offsets[1].tolist()
    color = (batch.image[1, 0] + 1) * 127.5
    torch.testing.assert_close(color, positions[2 * y : 2 * y + 16, 2 * x : 2 * x + 16].float())
    _, directions = patch_rays(batch, 8)
    view = Camera.from_label(batch.labels[1:2])
    u, v = (x + 3 + 0.5) / 16 - 0.5, (y + 5 + 0.5) / 16 - 0.5
    ray = view.cam2world[0, :3, :3] @ torch.tensor([u / 4.2647, v / 4.2647, 1.0])
    torch.testing.assert_close(directions[1, 5 * 8 + 3], ray / ray.norm())


def test_rates_rise_stay_and_fall() -> None:
    config = tiny_config(steps=1000, warmup_steps=10, decay_fraction=0.2)
    rates = [rate_factor(config, step) for step in (0, 9, 500, 800, 900, 999)]
    assert rates == pytest.approx([0.1, 1, 1, 1, 0.5, 0.02])
