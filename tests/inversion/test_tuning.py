"""Tuning: which parameters it changes, raw images before whole ones, and runs of the earlier version."""

from dataclasses import asdict, fields, replace
from pathlib import Path

import torch

import tiny
from panohead.geometry import Camera
from panohead.inversion import FastConfig, PyramidLoss
from panohead.inversion.fast_config import earlier_configs
from panohead.inversion.objective import PhotoObjective
from panohead.inversion.optimization import OptimizationCallbacks, OptimizationRun, OptimizationStep
from panohead.inversion.photo import AlignedPhoto
from panohead.inversion.tuning import position_maps, tune, tuned_parameters
from panohead.inversion.weight_delta import load_difference, save_difference
from panohead.models.generator import Generator
from panohead.models.generator_config import GeneratorConfig
from panohead.models.position_maps import with_position_maps


def names(generator: Generator, blocks: int | None, *, superresolve: bool) -> list[str]:
    """Names of the tuned parameters, in their order."""
    chosen = {id(p) for p in tuned_parameters(generator, blocks, superresolve=superresolve)}
    return [name for name, p in generator.named_parameters() if id(p) in chosen]


def test_all_parameters_but_those_without_gradients_in_the_order_of_the_earlier_version() -> None:
    """The state of an interrupted run lists Adam's moments by number."""
    generator = tiny.generator()
    assert generator.background is not None
    expected = [n for n, _ in generator.named_parameters() if not n.startswith(("mapping_network.", "camera_align"))]
    assert names(generator, None, superresolve=True) == expected
    order = [id(p) for p in generator.parameters()]
    positions = [order.index(id(p)) for p in tuned_parameters(generator, None, superresolve=True)]
    assert positions == sorted(positions)


def test_the_last_blocks_are_tuned_on_raw_images_without_what_these_do_not_show() -> None:
    generator = tiny.generator()
    last = [f"backbone.blocks.{name}." for name in list(generator.backbone.blocks)[-2:]]
    raw = names(generator, 2, superresolve=False)
    allowed = (*last, "decoder.", "torgb_raw.")
    assert all(name.startswith(allowed) for name in raw)
    assert all(any(name.startswith(start) for name in raw) for start in allowed)
    whole = set(names(generator, 2, superresolve=True)) - set(raw)
    assert {name.split(".")[0] for name in whole} == {"superresolution", "background"}
    assert not any(name.startswith("background.synthesis.blocks.b4.") for name in whole)


def tuned(
    config: FastConfig, resolution_log: list[OptimizationStep], network: GeneratorConfig = tiny.CONFIG
) -> tuple[Generator, Generator]:
    """The generator before and after a few steps towards a photo of another head."""
    generator = tiny.generator(config=network).requires_grad_(False)
    ws = generator.mapping_network.w_avg.expand(1, generator.backbone.num_ws, -1)
    camera = Camera.orbit(10)
    photo = AlignedPhoto("photo", torch.rand(3, 128, 128) * 2 - 1, torch.ones(1, 128, 128), camera, "given")
    objective = PhotoObjective([photo], PyramidLoss(), empty=None)
    run = OptimizationRun(callbacks=OptimizationCallbacks(on_step=resolution_log.append))
    return generator, tune(generator, objective, ws, [camera], None, config=config, run=run)


def changed(before: Generator, after: Generator) -> set[str]:
    """Names of the parameters that differ."""
    pairs = zip(before.named_parameters(), after.parameters(), strict=True)
    return {name for (name, old), new in pairs if not torch.equal(old, new)}


def test_raw_steps_come_first_and_the_untuned_generator_stays_as_it_is() -> None:
    steps: list[OptimizationStep] = []
    config = FastConfig(
        tuning_steps=2, coarse_tuning_ratio=1.5, unseen_interval=1, local_tuning=False, geometry_weight=0
    )
    before, after = tuned(config, steps)
    assert [step.phase for step in steps] == ["tune, coarse"] * 3 + ["tune"] * 2
    assert all("unseen" in step.losses for step in steps)
    found = changed(before, after)
    assert found <= set(names(before, 2, superresolve=True))
    for part in ("backbone", "decoder", "torgb_raw", "superresolution", "background"):
        assert any(name.startswith(f"{part}.") for name in found), part


def test_without_raw_steps_all_are_on_whole_images() -> None:
    steps: list[OptimizationStep] = []
    before, after = tuned(
        FastConfig(tuning_steps=3, coarse_tuning_ratio=0, tuned_blocks=None, local_tuning=False), steps
    )
    assert [step.phase for step in steps] == ["tune"] * 3
    assert any(name.startswith("backbone.blocks.b4.") for name in changed(before, after))


def test_local_tuning_changes_position_maps_where_the_photo_shows_something() -> None:
    """And, on whole images, the background network; every weight of the head stays."""
    steps: list[OptimizationStep] = []
    before, after = tuned(FastConfig(tuning_steps=2, coarse_tuning_ratio=1.0, unseen_weight=0), steps)
    assert not before.config.position_maps
    found = changed(with_position_maps(before), after)
    maps = {name for name in found if name.endswith("position_map")}
    assert maps == {f"backbone.blocks.{name}.position_map" for name in list(after.backbone.blocks)[-2:]}
    assert found - maps
    assert all(name.startswith("background.") for name in found - maps)
    assert len(position_maps(after, None)) == len(after.backbone.blocks)


def test_an_alias_free_backbone_is_tuned_in_its_last_layers_instead() -> None:
    network = replace(tiny.CONFIG, backbone="stylegan3", channel_max=4)
    config = FastConfig(tuning_steps=2, coarse_tuning_ratio=0, unseen_weight=0, geometry_weight=0)
    names = changed(*tuned(config, [], network))
    found = {name.split(".")[2] for name in names if name.startswith("backbone.")}
    assert found == {"layer13", "torgb"}


def test_a_locally_tuned_generator_is_stored_as_a_difference(tmp_path: Path) -> None:
    before, after = tuned(FastConfig(tuning_steps=2, coarse_tuning_ratio=1.0, unseen_weight=0), [])
    path = save_difference(tmp_path / "tuned.safetensors", before, after)
    opened = load_difference(path, before)
    assert opened.config == after.config
    for (name, value), stored in zip(after.named_parameters(), opened.parameters(), strict=True):
        torch.testing.assert_close(stored, value, atol=1e-4, rtol=1e-3, msg=name)


def test_configurations_of_earlier_versions() -> None:
    """Fields that they had keep their values; the number of tuning steps may have been its default."""
    given = FastConfig(fine_steps=7, unseen_weight=0.3)
    (still, lacked_first), (with_detail, lacked), (last, lacked_then), *first = earlier_configs(given)
    assert lacked_first == {"superresolution_learning_rate"}
    assert still == given
    tuned = replace(given, superresolution_learning_rate=0.004)
    assert earlier_configs(tuned)[0][0] == given
    assert lacked == {"detail_where_seen", *lacked_first}
    assert with_detail == replace(given, detail_where_seen=True)
    lacked = lacked_then
    assert {name for name, value in asdict(last).items() if value != asdict(given)[name]} <= lacked
    assert not last.local_tuning
    assert not last.attribute_search
    assert last.symmetry_weight == 0
    assert [config.tuning_steps for config, _ in first] == [50, 150]
    assert [config.tuning_steps for config, _ in earlier_configs(replace(given, tuning_steps=24))] == [24] * 4
    for config, lacked in first:
        known = {field.name for field in fields(FastConfig)} - lacked - {"tuning_learning_rate", "tuning_steps"}
        assert {name: asdict(config)[name] for name in known} == {name: asdict(given)[name] for name in known}
        assert config.coarse_tuning_steps == 0
        assert config.tuned_blocks is None
        assert config.tuning_learning_rate == 8e-3
