"""The regression fit on renders of two people at a small size."""

import copy
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from panohead.attributes.vocabulary import Vocabulary, expression_names, fit_shape_basis, shape_coordinates
from panohead.geometry import Camera, project
from panohead.models.generator import Generator
from panohead.models.generator_config import GeneratorConfig
from panohead.models.superresolution import SuperResolutionConfig
from panohead.rendering.renderer import RenderConfig
from panohead.synthetic.config import SyntheticDatasetConfig
from panohead.synthetic.people import sample_person
from panohead.synthetic.synthesize import synthesize
from panohead.training.attribute_fit.dataset import GrowingDataset
from panohead.training.attribute_fit.evaluate import compare
from panohead.training.attribute_fit.fit import AttributeFit, FitConfig
from panohead.training.attribute_fit.points import sample_points
from panohead.training.attribute_fit.prior import PriorConfig, energy_distance, fit_mapping
from panohead.training.attribute_fit.run import load_compact, save_compact
from panohead.training.attribute_fit.shots import Shots

SIDE = 32


def generator_config() -> GeneratorConfig:
    return GeneratorConfig(
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
            depth_samples=8, importance_samples=8, ray_start=2.3, ray_end=3.1, box_warp=0.8, crop_margin=0.01
        ),
        superresolution=SuperResolutionConfig(kind="2x", from_resolution=16, half_precision=False, channels=(8, 8)),
        use_background=False,
        use_camera_alignment=False,
    )


@pytest.fixture(scope="module")
def vocabulary() -> Vocabulary:
    shapes = np.stack([shape_coordinates(sample_person(3, index).to_json()) for index in range(4)])
    return Vocabulary(expression_names(), *fit_shape_basis(shapes, 2))


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("people") / "heads"
    config = SyntheticDatasetConfig(people=2, expressions=2, views=3, resolution=SIDE, seed=3, depth=True, out=out)
    list(synthesize(config))
    return out


@pytest.fixture(scope="module")
def shots(root: Path, vocabulary: Vocabulary) -> Shots:
    return GrowingDataset(root, vocabulary).refresh()


def fresh(vocabulary: Vocabulary) -> AttributeFit:
    return AttributeFit(
        FitConfig(
            generator=generator_config(),
            vocabulary=vocabulary,
            people=2,
            shots_per_step=2,
            points_per_view=64,
            patches_per_step=1,
            patch=8,
            learning_rate=0.02,
            warmup_steps=1,
        )
    )


def test_dataset_has_a_vector_a_shot_and_views_of_it(shots: Shots, vocabulary: Vocabulary) -> None:
    assert shots.person.tolist() == [0, 0, 1, 1]
    assert shots.view_of.tolist() == [[0, 1, 2], [3, 4, 5], [6, 7, 8], [9, 10, 11]]
    expression = slice(*vocabulary.sections["expression"])
    same_person = shots.attributes[0] - shots.attributes[1]
    assert same_person[: expression.start].abs().max() == 0
    assert same_person[expression].abs().max() > 0


def test_people_keep_their_numbers_while_others_are_missing(root: Path, vocabulary: Vocabulary, tmp_path: Path) -> None:
    partial = tmp_path / "heads"
    shutil.copytree(root, partial)
    lines = (root / "people.jsonl").read_text().splitlines()
    (partial / "people.jsonl").write_text(lines[1] + "\n")
    found = GrowingDataset(partial, vocabulary).refresh()
    assert found.person.tolist() == [1, 1]
    assert found.people == 1


def test_points_lie_where_the_depth_says(shots: Shots) -> None:
    batch = sample_points(
        shots, torch.tensor([0]), pixels=200, ray_range=(2.3, 3.1), rng=torch.Generator().manual_seed(0)
    )
    views = shots.view_of[0]
    inside = batch.inside[0].unflatten(0, (3, 200))
    solid, color = batch.solid[0].unflatten(0, (3, 200)), batch.color[0].unflatten(0, (3, 200))
    for k, view in enumerate(views.tolist()):
        # The way back: every solid point projects into the pixel that it came from, just behind its depth.
        position, distance, _ = project(inside[k], Camera.from_label(shots.labels[view]))
        pixel = ((position + 1) / 2 * SIDE).floor().long().clamp(0, SIDE - 1)
        depth = shots.depth[view][pixel[:, 1], pixel[:, 0]].float()
        behind = (distance - depth)[solid[k]]
        assert behind.min() > -0.003  # float16 depth
        assert behind.max() < 0.023
        image = shots.images[view][:, pixel[:, 1], pixel[:, 0]].T.float() / 127.5 - 1
        torch.testing.assert_close(image[solid[k]], color[k][solid[k]])


def test_losses_fall_and_a_resumed_fit_is_the_same(shots: Shots, vocabulary: Vocabulary) -> None:
    torch.set_num_threads(1)
    fit = fresh(vocabulary)
    first = [fit.step(shots) for _ in range(5)]
    state = copy.deepcopy(fit.state_dict())  # as a file would keep it
    other = fresh(vocabulary)
    other.load_state_dict(state)
    later = [fit.step(shots) for _ in range(60)]
    for loss in ("occupancy", "surface_color", "raw"):
        assert np.mean([x[loss] for x in later[-5:]]) < 0.9 * np.mean([x[loss] for x in first]), loss
    again = fresh(vocabulary)
    for _ in range(5):
        again.step(shots)
    assert other.step_count == again.step_count
    assert other.step(shots) == again.step(shots)


def test_compact_state_keeps_what_is_seen(shots: Shots, vocabulary: Vocabulary, tmp_path: Path) -> None:
    fit = fresh(vocabulary)
    for _ in range(3):
        fit.step(shots)
    save_compact(fit, tmp_path / "compact.safetensors")
    other = fresh(vocabulary)
    load_compact(other, tmp_path / "compact.safetensors")
    assert other.step_count == 3
    one, two = (compare(x.average, shots, torch.tensor([0]), with_residual=True).model for x in (fit, other))
    assert (one - two).abs().max() < 0.02  # float16


def test_energy_distance_is_zero_for_one_distribution_and_grows_with_the_shift() -> None:
    rng = torch.Generator().manual_seed(0)
    a, b = (torch.randn(800, 5, generator=rng) for _ in range(2))
    assert abs(float(energy_distance(a, b))) < 0.02
    assert float(energy_distance(a, b + 1)) > 10 * abs(float(energy_distance(a, b)))


def test_mapping_draws_the_population() -> None:
    torch.manual_seed(0)
    generator = Generator(generator_config())
    rng = torch.Generator().manual_seed(1)
    turn = torch.linalg.qr(torch.randn(16, 16, generator=rng)).Q
    ws = torch.randn(3000, 16, generator=rng) * torch.linspace(3, 0.5, 16) @ turn + 2
    fit_mapping(generator, ws, PriorConfig(steps=500, batch=128))
    z = torch.randn(3000, 8, generator=rng)
    drawn = generator.mapping(z, torch.zeros(3000, 25))[:, 0]
    assert (drawn.mean(0) - ws.mean(0)).norm() < 0.2 * ws.std(0).norm()
    assert 0.75 < float(drawn.std(0).norm() / ws.std(0).norm()) < 1.2
    torch.testing.assert_close(generator.mapping_network.w_avg, ws.mean(0))
