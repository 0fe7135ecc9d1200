"""Super-resolution trained alone, on renders of two people at a small size."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from panohead.attributes.vocabulary import Vocabulary, expression_names, fit_shape_basis, shape_coordinates
from panohead.geometry import Camera
from panohead.models.generator_config import GeneratorConfig
from panohead.models.superresolution import SuperResolutionConfig
from panohead.models.surface_detail import with_detail
from panohead.ops.pixels import image_from_uint8
from panohead.randomness import RenderRandomness
from panohead.rendering.renderer import RenderConfig
from panohead.synthetic.config import SyntheticDatasetConfig
from panohead.synthetic.people import sample_person
from panohead.synthetic.synthesize import synthesize
from panohead.training.attribute_fit.adversarial import AdversarialConfig
from panohead.training.attribute_fit.dataset import GrowingDataset
from panohead.training.attribute_fit.fit import FitConfig, HeadModel
from panohead.training.attribute_fit.images import on_white
from panohead.training.attribute_fit.rendered_views import RenderedViews, render_views, sample_views
from panohead.training.attribute_fit.shots import Shots
from panohead.training.attribute_fit.texture import TextureConfig, TextureFit

SIDE = 32


@pytest.fixture(scope="module")
def vocabulary() -> Vocabulary:
    shapes = np.stack([shape_coordinates(sample_person(3, index).to_json()) for index in range(4)])
    return Vocabulary(expression_names(), *fit_shape_basis(shapes, 2))


@pytest.fixture(scope="module")
def shots(tmp_path_factory: pytest.TempPathFactory, vocabulary: Vocabulary) -> Shots:
    out = tmp_path_factory.mktemp("people") / "heads"
    config = SyntheticDatasetConfig(people=2, expressions=1, views=3, resolution=SIDE, seed=3, depth=True, out=out)
    list(synthesize(config))
    return GrowingDataset(out, vocabulary).refresh()


def model(vocabulary: Vocabulary, *, detail: bool = False) -> HeadModel:
    torch.manual_seed(0)
    generator = GeneratorConfig(
        z_dim=8,
        w_dim=16,
        conditioning_scale=0.0,
        trigrid_resolution=16,
        trigrid_channels=4,
        feature_channels=8,
        channel_base=256,
        channel_max=16,
        neural_rendering_resolution=16,
        rendering=RenderConfig(
            depth_samples=16, importance_samples=0, ray_start=2.3, ray_end=3.1, box_warp=0.8, crop_margin=0.01
        ),
        superresolution=SuperResolutionConfig(kind="2x", from_resolution=16, half_precision=False, channels=(8, 8)),
        use_background=False,
        use_camera_alignment=False,
        surface_texture=0 if detail else 4,
        surface_detail=detail,
    )
    found = HeadModel(FitConfig(generator=generator, vocabulary=vocabulary, people=2)).eval()
    if found.generator.surface_detail is not None:
        torch.nn.init.constant_(found.generator.surface_detail.strength.bias, 0.0)  # type: ignore[arg-type]
    return found


@pytest.fixture
def views(shots: Shots, vocabulary: Vocabulary) -> RenderedViews:
    return render_views(model(vocabulary), shots, torch.arange(shots.count))


def config() -> TextureConfig:
    adversarial = AdversarialConfig(channel_base=128, channel_max=8, interval=2)
    return TextureConfig(patches_per_step=2, patch=8, learning_rate=0.01, adversarial=adversarial)


@torch.no_grad()
def test_kept_views_are_the_generators(views: RenderedViews, shots: Shots, vocabulary: Vocabulary) -> None:
    generator = model(vocabulary).generator
    assert generator.surface_texture is not None
    torch.nn.init.normal_(generator.surface_texture.weight)
    assert views.count == 6
    for view in (0, 4):
        ws = views.w[view, None, None].expand(1, generator.backbone.num_ws, -1)
        camera, field = Camera.from_label(views.labels[view : view + 1]), generator.field(ws)
        whole = generator.render_view(field, ws, camera)
        torch.testing.assert_close(views.raw[view].float(), whole.image_raw[0], rtol=0, atol=2e-3)
        torch.testing.assert_close(views.features[view].float(), whole.features[0], rtol=0, atol=2e-3)
        texture = generator.render(field, camera, 16, RenderRandomness.even()).texture
        assert texture is not None
        kept = views.noise[view].flatten(1).float().T @ generator.surface_texture.weight.T  # ray channel
        torch.testing.assert_close(kept, texture[0], rtol=0, atol=1e-2)


def test_patches_are_cut_at_the_same_place(views: RenderedViews) -> None:
    batch = sample_views(views, count=5, patch=8, num_ws=3, rng=torch.Generator().manual_seed(0))
    truth = on_white(image_from_uint8(views.images), views.masks[:, None].float() / 255)
    for number in range(5):
        view = int((views.labels == batch.truth.labels[number]).all(dim=1).nonzero()[0, 0])
        y, x = batch.truth.offsets[number].tolist()
        rows, columns = slice(y, y + 8), slice(x, x + 8)
        for name in ("features", "noise", "raw", "weights"):
            assert torch.equal(getattr(batch, name)[number], getattr(views, name)[view, :, rows, columns].float()), name
        expected = truth[view, :, 2 * y : 2 * y + 16, 2 * x : 2 * x + 16]
        torch.testing.assert_close(batch.truth.image[number], expected)


def test_steps_change_super_resolution_and_texture_alone(views: RenderedViews, vocabulary: Vocabulary) -> None:
    generator = model(vocabulary).generator
    before = {name: value.clone() for name, value in generator.state_dict().items()}
    training = TextureFit(config(), generator)
    values = [training.step(views) for _ in range(3)]
    assert {"image", "coarse", "adversarial", "discriminator"} <= values[0].keys()
    assert all(np.isfinite(list(v.values())).all() for v in values)
    changed = {name.split(".")[0] for name, value in generator.state_dict().items() if not value.equal(before[name])}
    assert changed == {"superresolution", "surface_texture"}


def test_with_detail_whole_views_are_the_generators_and_super_resolution_alone_changes(
    shots: Shots, vocabulary: Vocabulary
) -> None:
    generator = model(vocabulary, detail=True).generator
    views = render_views(model(vocabulary, detail=True), shots, torch.arange(1))
    ws = views.w[1, None, None].expand(1, generator.backbone.num_ws, -1)
    with torch.no_grad():
        whole = generator.render_view(generator.field(ws), ws, Camera.from_label(views.labels[1:2])).image
        smooth = generator.superresolution(views.raw[1:2].float(), views.features[1:2].float(), ws)
    assert float(views.detail[1].abs().max()) > 0.02
    torch.testing.assert_close(with_detail(smooth, views.detail[1:2].float()), whole, rtol=0, atol=4e-3)
    before = {name: value.clone() for name, value in generator.state_dict().items()}
    training = TextureFit(config(), generator)
    assert np.isfinite(list(training.step(views).values())).all()
    changed = {name.split(".")[0] for name, value in generator.state_dict().items() if not value.equal(before[name])}
    assert changed == {"superresolution"}


def test_the_regression_alone_learns(views: RenderedViews, vocabulary: Vocabulary) -> None:
    """All views at every step: whole images of one patch."""
    alone = replace(config(), patches_per_step=6, patch=16, learning_rate=0.02, color_weight=4.0)
    alone = replace(alone, adversarial=replace(alone.adversarial, share=0.0))
    training = TextureFit(alone, model(vocabulary).generator)
    losses = [training.step(views)["image"] for _ in range(120)]
    assert np.mean(losses[-5:]) < 0.7 * np.mean(losses[:5]), str(losses[::10])


def test_resuming_is_exact(views: RenderedViews, vocabulary: Vocabulary, tmp_path: Path) -> None:
    first = TextureFit(config(), model(vocabulary).generator)
    for _ in range(2):
        first.step(views)
    torch.save(first.state_dict(), tmp_path / "state.pt")
    again = TextureFit(config(), model(vocabulary).generator)
    again.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    assert first.step(views) == again.step(views)
    for ours, theirs in zip(first.average.parameters(), again.average.parameters(), strict=True):
        assert torch.equal(ours, theirs)
