"""Baselines in the project's own loop: they learn, and what they make is used like any other head."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from baseline_runs import RAYS, TINY, run, snapshot, tiny_graf, tiny_pi_gan, tiny_style_sdf
from panohead import load
from panohead.errors import UsageError
from panohead.geometry import Camera
from panohead.head import Head
from panohead.inversion import reconstruct
from panohead.models.generator import Generator
from panohead.presets import pi_gan_64, tiny
from panohead.training.config import TrainConfig
from panohead.training.ray_windows import PatchConfig
from panohead.training.sdf_losses import SdfLossConfig
from panohead.training.warm_start.fit import WarmStartConfig

STEPS = 8


@pytest.mark.parametrize("name", TINY)
def test_training_brings_images_closer_to_photos_and_its_snapshot_makes_heads(name: str, tmp_path: Path) -> None:
    lines = run(TINY[name](), tmp_path / "run", STEPS)
    before, after = (line["sliced_wasserstein"] for line in lines)
    assert before is not None
    assert after is not None
    assert after < 0.95 * before
    predictor = load(snapshot(tmp_path / "run"))
    generator = predictor.generator
    assert generator.config.neural_rendering_resolution == (32 if name == "graf" else RAYS)
    head = predictor.sample(3)
    front, again, back = (head.render(Camera.orbit(yaw)) for yaw in (0.0, 0.0, 180.0))
    assert front.image.shape[-2:] == (32, 32)
    assert torch.equal(front.image, again.image)
    assert not torch.allclose(front.image, back.image, atol=1e-3)
    # Views that share one field are those of synthesis.
    whole = generator.synthesis(head.ws, Camera.orbit(0.0).expand(1).to_label(), ray_jitter=0.5, importance_u="even")
    assert torch.allclose(front.image[None] if front.image.ndim == 3 else front.image, whole.image, atol=1e-4)
    with pytest.raises(UsageError, match="works on tri-grids"):
        reconstruct(generator, [tmp_path / "photo.png"])


def test_the_mesh_of_untrained_signed_distances_is_a_ball() -> None:
    """The level of density 10 lies where scale / beta sigmoid(-d / beta) = softplus(9), a little outside of d = 0."""
    torch.manual_seed(0)
    config = tiny_style_sdf().generator
    generator = Generator(config).eval().requires_grad_(False)
    assert generator.implicit is not None
    torch.nn.init.zeros_(generator.implicit.distance_output.weight)
    head = Head(generator, torch.zeros(1, generator.num_ws, config.w_dim))
    mesh = head.mesh(24, color=False, unit="world", smooth=0, triangles=None, trim=False)
    assert config.implicit is not None
    beta, scale = config.implicit.initial_beta, 2 / config.rendering.box_warp
    sigma = torch.nn.functional.softplus(torch.tensor(9.0, dtype=torch.float64))
    expected = (config.implicit.sphere_radius - beta * torch.logit(sigma * beta / scale)) / scale
    radii = torch.as_tensor(mesh.vertices).norm(dim=1)
    assert float((radii - expected).abs().max()) < 0.01


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (replace(tiny_pi_gan(), sdf_loss=SdfLossConfig()), "needs signed distances"),
        (replace(tiny_graf(), patches=PatchConfig(side=8)), "is shown 8"),
        (
            replace(tiny_graf(), schedules=replace(tiny_graf().schedules, neural_resolution_initial=8)),
            "patches have 16",
        ),
        (replace(tiny(), patches=PatchConfig(side=32)), "patches have 32"),
        (replace(tiny_pi_gan(), warm_start=WarmStartConfig(), noise_mode="const"), "warm start fits tri-grids"),
    ],
)
def test_settings_that_do_not_fit_are_refused(config: TrainConfig, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        config.checked()


def test_rays_grow_as_in_progressive_growing() -> None:
    config = pi_gan_64()
    rays = [config.schedules.at(kimg * 1000).neural_resolution for kimg in (0, 50, 100, 200)]
    assert rays == [32, 48, 64, 64]
    assert config.discriminator.variant == "raw"
    assert config.discriminator.label_dim == 0
