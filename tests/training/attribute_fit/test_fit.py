"""The regression fit on renders of two people at a small size."""

import copy
import math
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from panohead.attributes.vocabulary import CHOICES, Vocabulary, expression_names, fit_shape_basis, shape_coordinates
from panohead.checkpoint import save_checkpoint
from panohead.errors import PanoHeadError
from panohead.geometry import Camera, project
from panohead.models.generator_config import GeneratorConfig
from panohead.models.superresolution import SuperResolutionConfig
from panohead.rendering.renderer import RenderConfig
from panohead.synthetic.config import SyntheticDatasetConfig
from panohead.synthetic.people import sample_person
from panohead.synthetic.renderer.lighting import fibonacci_sphere
from panohead.synthetic.synthesize import synthesize
from panohead.training.attribute_fit.compact import load_compact, save_beside, save_compact
from panohead.training.attribute_fit.dataset import GrowingDataset
from panohead.training.attribute_fit.evaluate import compare
from panohead.training.attribute_fit.face_windows import _DETAILS, detail_windows, face_windows
from panohead.training.attribute_fit.fit import AttributeFit, FitConfig, HeadModel
from panohead.training.attribute_fit.images import sample_patches
from panohead.training.attribute_fit.points import _sample_pixels, sample_points
from panohead.training.attribute_fit.population import Population, natural, population_ws, well_lit
from panohead.training.attribute_fit.run import FitRun, RunOptions
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


def test_people_with_glasses_or_headwear_are_taken_more_often(shots: Shots, vocabulary: Vocabulary) -> None:
    attributes = shots.attributes.clone()
    places = [vocabulary.names.index(f"{what}=none") for what in ("glasses", "headwear")]
    attributes[:, places] = torch.tensor([[1.0, 1.0], [0.0, 1.0], [1.0, 0.0], [0.0, 0.0]])
    chances = fresh(vocabulary)._chances(replace(shots, attributes=attributes))
    assert chances.tolist() == [1.0, 2.0, 2.0, 2.0]


def test_people_keep_their_numbers_while_others_are_missing(root: Path, vocabulary: Vocabulary, tmp_path: Path) -> None:
    partial = tmp_path / "heads"
    shutil.copytree(root, partial)
    lines = (root / "people.jsonl").read_text().splitlines()
    (partial / "people.jsonl").write_text(lines[1] + "\n")
    found = GrowingDataset(partial, vocabulary).refresh()
    assert found.person.tolist() == [1, 1]
    assert found.people == 1


def test_people_are_in_memory_once_also_when_others_join(root: Path, vocabulary: Vocabulary, tmp_path: Path) -> None:
    partial = tmp_path / "heads"
    shutil.copytree(root, partial)
    (partial / "people.jsonl").write_text((root / "people.jsonl").read_text().splitlines()[0] + "\n")
    dataset = GrowingDataset(partial, vocabulary)
    first = dataset.refresh()
    shutil.copy(root / "people.jsonl", partial)
    both = dataset.refresh()
    assert torch.equal(both.images[: len(first.images)], first.images)
    for name in ("images", "masks", "depth", "labels"):
        place = getattr(both, name).untyped_storage().data_ptr()
        assert {getattr(p, name).untyped_storage().data_ptr() for p in dataset._people.values()} == {place}


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
        assert behind.max() < 0.063
        image = shots.images[view][:, pixel[:, 1], pixel[:, 0]].T.float() / 127.5 - 1
        torch.testing.assert_close(image[solid[k]], color[k][solid[k]])


def test_face_windows_hold_the_face_where_it_can_be_seen() -> None:
    for yaw in (0, 40, -60, 120, 180):
        camera = Camera.orbit(yaw_deg=yaw, pitch_deg=10, radius=2.7)
        windows = face_windows(camera.to_label())
        assert bool(windows.visible) == (abs(yaw) < 75)
        # The slow way, one camera at a time: the face's middle and a point beside it, across the line of sight.
        middle = torch.tensor([0.0, -0.005, 0.17])
        right = camera.cam2world[:3, 0]
        position, _, _ = project(torch.stack([middle, middle + 0.115 * right]), camera)
        torch.testing.assert_close(windows.center.squeeze(), (position[0] + 1) / 2, rtol=0, atol=1e-5)
        width = (position[1] - position[0]).norm() / 2
        assert float(windows.radius) == pytest.approx(float(width), rel=1e-3)


def test_a_third_of_the_pixels_lies_in_the_face(shots: Shots) -> None:
    rng = torch.Generator().manual_seed(0)
    pixels = _sample_pixels(shots.labels[None], SIDE, (1, len(shots.labels), 3000), rng)[0]
    windows = face_windows(shots.labels)
    offset = ((pixels + 0.5) / SIDE - windows.center[:, None]).abs().amax(dim=-1)  # view pixel
    inside = (offset < windows.radius[:, None]).float().mean(dim=1)
    assert windows.visible.any()
    assert (inside[windows.visible] > 0.33).all()
    assert pixels.min() == 0
    assert pixels.max() == SIDE - 1


def test_eyes_and_mouth_are_windows_of_their_own(shots: Shots) -> None:
    camera = Camera.orbit(yaw_deg=30, pitch_deg=5)
    windows = detail_windows(camera.to_label())
    places = torch.tensor(_DETAILS)
    position, _, _ = project(places, camera)
    position = (position + 1) / 2
    torch.testing.assert_close(windows.center, position, rtol=0, atol=1e-5)
    beside = position + torch.tensor([0.1, 0.0])
    assert windows.cover(torch.cat([position, beside])).tolist() == [True] * 3 + [False] * 3
    behind = detail_windows(Camera.orbit(yaw_deg=180).to_label())
    assert not behind.cover(behind.center).any()
    # In patches their pixels have the larger weight, and no others.
    rng = torch.Generator().manual_seed(0)
    found = sample_patches(shots, torch.arange(shots.count), rays=SIDE // 2, patch=SIDE // 4, rng=rng)
    assert set(found.importance.unique().tolist()) == {1.0, 5.0}
    for label, corner, weights in zip(found.labels, found.offsets, found.importance[:, 0], strict=True):
        y, x = torch.meshgrid(torch.arange(SIDE // 2), torch.arange(SIDE // 2), indexing="ij")
        pixels = (torch.stack([x + 2 * corner[1], y + 2 * corner[0]], -1) + 0.5) / SIDE
        inside = detail_windows(label).cover(pixels.flatten(0, 1)).unflatten(0, (SIDE // 2, SIDE // 2))
        assert torch.equal(weights > 1, inside)


def test_heads_without_their_residual_code_are_the_mean_person(vocabulary: Vocabulary, shots: Shots) -> None:
    model = fresh(vocabulary).model
    torch.nn.init.normal_(model.residual.weight, generator=torch.Generator().manual_seed(0))
    attributes, person = shots.attributes[:2], shots.person[:2]
    known = model.ws(attributes, person, known=torch.tensor([True, False]))
    torch.testing.assert_close(known[0], model.ws(attributes, person)[0])
    torch.testing.assert_close(known[1], model.ws(attributes, None)[1])
    assert not torch.equal(known[1], model.ws(attributes, person)[1])


def test_population_recombines_people_lights_and_expressions(vocabulary: Vocabulary, shots: Shots) -> None:
    class Recorder(HeadModel):
        def ws(self, attributes, person, *, known=None):  # type: ignore[no-untyped-def]
            seen.append((attributes, person))
            return attributes[:, None]

    seen: list[tuple[torch.Tensor, torch.Tensor]] = []
    found = population_ws(Recorder(fresh(vocabulary).config), shots, vocabulary, 400, seed=0)
    light, expression = (slice(*vocabulary.sections[name]) for name in ("light", "expression"))

    def source(columns: slice) -> torch.Tensor:
        """Index of the first shot whose numbers these are."""
        return (found[:, None, columns] - shots.attributes[None, :, columns]).abs().amax(dim=2).argmin(dim=1)

    person, lit, posed = (source(x) for x in (slice(0, light.start), light, expression))
    for one in (person, lit, posed):
        assert torch.equal(found[:, light], shots.attributes[lit][:, light])
        assert len(one.unique()) > 1
    # Independent: every person is seen under the light and with the expressions of others.
    pairs = {(int(shots.person[a]), int(shots.person[b])) for a, b in zip(person, posed, strict=True)}
    assert len(pairs) == 4


def test_fit_with_the_adversarial_loss_resumes_as_it_was(shots: Shots, vocabulary: Vocabulary) -> None:
    torch.set_num_threads(1)
    fit = fresh(vocabulary)
    fit.step(shots)
    fit.add_adversarial_loss()
    values = [fit.step(shots) for _ in range(2)][-1]
    assert {"adversarial", "features", "discriminator"} <= values.keys()
    other = fresh(vocabulary)
    other.load_state_dict(copy.deepcopy(fit.state_dict()))
    assert other.adversarial is not None
    assert fit.step(shots) == other.step(shots)


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


def test_states_of_other_networks_are_named(vocabulary: Vocabulary, tmp_path: Path) -> None:
    fit, data = fresh(vocabulary), GrowingDataset(tmp_path, vocabulary)
    run = FitRun(tmp_path / "fit", fit, data, data, RunOptions())
    assert not run.resume()
    run.save()
    assert run.resume()
    larger = AttributeFit(replace(fit.config, people=fit.config.people + 1))
    with pytest.raises(PanoHeadError, match=r"state\.pt is of networks of other sizes; move it away"):
        FitRun(tmp_path / "fit", larger, data, data, RunOptions()).resume()


def test_a_fit_saved_beside_its_model_is_small_and_opens_again(vocabulary: Vocabulary, tmp_path: Path) -> None:
    fit = fresh(vocabulary)
    fit.step_count = 7
    compact, model, beside = (tmp_path / f"{name}.safetensors" for name in ("compact", "model", "beside"))
    torch.nn.init.normal_(fit.average.residual.weight)
    save_compact(fit, compact)
    released = copy.deepcopy(fit.average)
    for tensor in released.state_dict().values():
        tensor.mul_(1.001)  # rounding
    for parameter in released.generator.superresolution.parameters():
        parameter.add_(0.1)  # what is trained after the fit
    networks = {"G_ema": released.generator, "attributes": released.encoder}
    save_checkpoint(model, networks, dtype="float16")
    save_beside(compact, beside, model)
    names = set(load_file(beside))
    assert "residual.weight" in names
    assert all("residual" in name or "superresolution" in name for name in names), names
    again = fresh(vocabulary)
    load_compact(again, beside, model)
    assert again.step_count == 7
    for name, value in fit.average.state_dict().items():
        if "mapping" not in name:
            torch.testing.assert_close(again.average.state_dict()[name], value, rtol=5e-3, atol=1e-4)
    save_checkpoint(model, {"G_ema": fit.average.generator, "attributes": fit.average.encoder}, dtype="float16")
    with pytest.raises(PanoHeadError, match="belongs to another model"):
        load_compact(again, beside, model)


def test_sharpness_scales_densities_and_keeps_occupancy(shots: Shots, vocabulary: Vocabulary, tmp_path: Path) -> None:
    fit, chosen = fresh(vocabulary), torch.tensor([0, 2])
    points = torch.rand(1, 20, 3) - 0.5
    ws = fit.model.ws(shots.attributes[:1], None)
    before = fit.model.generator.field(ws).density(points)
    state = fit.rng.get_state()
    occupancy = fit.losses(shots, chosen).losses["occupancy"]
    fit.set_sharpness(2.0)
    fit.set_sharpness(5.0)
    after = fit.model.generator.field(ws).density(points)
    torch.testing.assert_close(after, 5 * before, rtol=0, atol=1e-5 * float(after.detach().abs().max()))
    fit.rng.set_state(state)
    torch.testing.assert_close(fit.losses(shots, chosen).losses["occupancy"], occupancy)
    save_compact(fit, tmp_path / "compact.safetensors")
    again = fresh(vocabulary)
    load_compact(again, tmp_path / "compact.safetensors")
    assert again.sharpness == 5.0


def test_well_lit_shots_are_bright_and_white(shots: Shots, vocabulary: Vocabulary) -> None:
    columns = slice(*vocabulary.sections["light"])
    attributes = shots.attributes.clone()
    for shot, color in enumerate([(0.1, 0.1, 0.1), (1.0, 0.2, 0.2), (0.9, 0.9, 0.9), (0.5, 0.5, 0.5)]):
        attributes[shot, columns] = torch.tensor(color).log().repeat(12)
    lit = replace(shots, attributes=attributes)
    assert well_lit(lit, vocabulary, 0.5).tolist() == [2, 3]
    assert well_lit(lit, vocabulary, 0.0).tolist() == [2]
    # Light from behind does not light a face, and light from above leaves its eyes dark.
    even = attributes.clone()
    for direction in ((0.0, 0.0, -1.0), (0.0, 1.0, 0.0)):
        gain = torch.from_numpy(fibonacci_sphere(12) @ np.array(direction)).float()
        attributes[2, columns] = even[2, columns] + 5 * gain[:, None].expand(-1, 3).reshape(-1)
        assert well_lit(lit, vocabulary, 0.0).tolist() == [3]
        attributes[2, columns] = even[2, columns] - 5 * gain[:, None].expand(-1, 3).reshape(-1)
        assert well_lit(lit, vocabulary, 0.0).tolist() == [2]
    ws = population_ws(
        fresh(vocabulary).model.eval(), lit, vocabulary, 50, seed=0, population=Population(lights=torch.tensor([2]))
    )
    assert len(ws.unique(dim=0)) > 3


def test_natural_people_have_hair_of_their_own_color_that_shows(shots: Shots, vocabulary: Vocabulary) -> None:
    attributes, column = shots.attributes.clone(), vocabulary.names.index
    attributes[:, column("dyed")] = 0
    for key in ("headwear", "glasses"):
        attributes[:, [column(f"{key}={value}") for value in CHOICES[key]]] = 0
        attributes[:, column(f"{key}=none")] = 1
    attributes[1, column("dyed")] = 1
    attributes[2, [column("headwear=none"), column("headwear=wrap")]] = torch.tensor([0.0, 1.0])
    plain = replace(shots, attributes=attributes)
    assert natural(plain, vocabulary).tolist() == [0, 3]
    attributes[3, [column("glasses=none"), column("glasses=round")]] = torch.tensor([0.0, 1.0])
    assert natural(plain, vocabulary).tolist() == [0]
    model = fresh(vocabulary).model.eval()
    one = Population(people=torch.tensor([0]))
    first = population_ws(model, plain, vocabulary, 30, seed=0, population=one)
    alike = attributes.clone()
    alike[1:, : vocabulary.sections["light"][0]] = 0  # who the others are does not count, their light does
    again = population_ws(model, replace(plain, attributes=alike), vocabulary, 30, seed=0, population=one)
    assert torch.equal(first, again)


def test_exposure_adds_to_the_logarithm_of_all_lights(shots: Shots, vocabulary: Vocabulary) -> None:
    model = fresh(vocabulary).model.eval()
    brighter = shots.attributes.clone()
    brighter[:, slice(*vocabulary.sections["light"])] += math.log(1.5)
    expected = population_ws(model, replace(shots, attributes=brighter), vocabulary, 20, seed=0)
    found = population_ws(model, shots, vocabulary, 20, seed=0, population=Population(exposure=1.5))
    torch.testing.assert_close(found, expected)
