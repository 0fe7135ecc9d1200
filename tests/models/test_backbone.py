"""The alias-free backbones in the generator: configuration, checkpoints, training, directions, tuning."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch

import tiny
from panohead.checkpoint import load_checkpoint, save_checkpoint
from panohead.cli.main import main
from panohead.directions.principal import sefa_directions
from panohead.errors import PanoHeadError, UsageError
from panohead.files.read_json import from_plain
from panohead.geometry import Camera
from panohead.inversion.tuning import tuned_parameters
from panohead.models.build import planned_state
from panohead.models.generator import Generator
from panohead.models.generator_config import Backbone, GeneratorConfig
from panohead.models.position_maps import with_position_maps
from panohead.ops import fast_paths
from panohead.predictor import Predictor
from panohead.presets import PRESETS, with_backbone
from panohead.stylegan.alias_free import AliasFreeLayer, AliasFreeSynthesis, magnitudes
from panohead.stylegan.synthesis import SynthesisNetwork
from panohead.training.config import TrainConfig
from panohead.training.losses import RealBatch
from panohead.training.networks import make_networks
from panohead.training.warm_start.fit import WarmStart, WarmStartConfig
from training.test_step import make_step

ALIAS_FREE: tuple[Backbone, ...] = ("stylegan3", "stylegan3_r")
SMALL = replace(tiny.CONFIG, backbone="stylegan3", channel_base=256, channel_max=8)


def test_configurations_without_the_setting_have_stylegan2s() -> None:
    plain = asdict(tiny.CONFIG)
    assert plain.pop("backbone") == "stylegan2"
    config = from_plain(GeneratorConfig, json.loads(json.dumps(plain)))
    assert config == tiny.CONFIG
    assert isinstance(Generator(config).backbone, SynthesisNetwork)


@pytest.mark.parametrize("backbone", ALIAS_FREE)
def test_generator_renders_and_its_checkpoint_opens_again(backbone: Backbone, tmp_path: Path) -> None:
    generator = tiny.generator(config=replace(SMALL, backbone=backbone))
    with torch.no_grad():
        magnitudes(generator)[3].fill_(1.7)
    head = Predictor(generator).sample(3)
    frame = head.render(Camera.orbit(40))
    assert frame.image.isfinite().all()
    assert frame.image.shape == (3, 32, 32) or frame.image.shape[1] == frame.image.shape[2]
    save_checkpoint(tmp_path / "a.safetensors", {"G_ema": generator})
    again = load_checkpoint(tmp_path / "a.safetensors").generator()
    assert again.config.backbone == backbone
    assert isinstance(again.backbone, AliasFreeSynthesis)
    assert torch.equal(Predictor(again).sample(3).render(Camera.orbit(40)).image, frame.image)


def test_planes_come_in_the_order_that_each_renderer_wants() -> None:
    generator = tiny.generator(config=SMALL)
    ws = torch.randn(1, 1, 16).expand(-1, generator.backbone.num_ws, -1)
    with torch.no_grad():
        expected = generator.field(ws).planes
    with torch.enable_grad(), fast_paths.plain_only():
        torch.testing.assert_close(generator.field(ws).planes, expected)
    with torch.enable_grad():
        torch.testing.assert_close(generator.field(ws).planes, expected)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"trigrid_resolution": 48}, "power of two"),
        ({"trigrid_resolution": 8}, "power of two from 16"),
        ({"position_maps": True}, "position maps"),
    ],
)
def test_tri_grids_that_cannot_be_are_refused(changes: dict[str, int], words: str) -> None:
    with pytest.raises(PanoHeadError, match=words):
        replace(SMALL, **changes)
    with pytest.raises(ValueError, match="no position maps"):
        with_position_maps(Generator(SMALL))


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_of_tri_grids_takes_them(name: str) -> None:
    if PRESETS[name]().generator.implicit is not None:
        with pytest.raises(UsageError, match="no backbone"):
            with_backbone(PRESETS[name](), "stylegan3")
        return
    for backbone in ALIAS_FREE:
        config = with_backbone(PRESETS[name](), backbone).checked()
        assert from_plain(TrainConfig, json.loads(json.dumps(asdict(config)))) == config
        state = planned_state(lambda config=config: Generator(config.generator))
        channels = 3 * config.generator.trigrid_channels * config.generator.trigrid_depth
        assert state["backbone.blocks.torgb.weight"].shape[0] == channels
    assert with_backbone(PRESETS[name](), "stylegan2") == PRESETS[name]()


def test_command_line_chooses_the_backbone(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["train", "--preset", "demo_128", "--backbone", "stylegan3_r", "--dry-run"]) == 0
    generator = json.loads(capsys.readouterr().out)["generator"]
    assert (generator["backbone"], generator["position_maps"]) == ("stylegan3_r", False)
    assert main(["train", "--resume", str(tmp_path), "--backbone", "stylegan3"]) == 2
    assert "--backbone cannot be changed" in capsys.readouterr().err
    assert main(["train", "--preset", "tiny", "--set", "generator.trigrid_resolution=8", "--backbone", "stylegan3",
                 "--dry-run"]) == 2  # fmt: skip
    assert "power of two from 16" in capsys.readouterr().err


def step_config() -> TrainConfig:
    """One micro-batch a step."""
    small = replace(PRESETS["tiny"](), batch=2, micro_batch=2)
    small = replace(small, generator=replace(small.generator, channel_base=256, channel_max=8))
    return with_backbone(small, "stylegan3")


def test_a_training_step_moves_weights_and_magnitudes_and_the_average_has_both() -> None:
    config = step_config()
    size = config.resolution
    label = Camera.orbit(20).expand(1).to_label().expand(2, -1)
    step = make_step(config, RealBatch(torch.rand(2, 3, size, size), torch.rand(2, 1, size, size), label))
    networks = step.networks
    before = make_networks(config, torch.device("cpu")).generator
    step.run()
    new, old = magnitudes(networks.generator), magnitudes(before)
    assert all(not torch.equal(a, b) for a, b in zip(new, old, strict=True))
    assert torch.equal(torch.stack(magnitudes(networks.generator_ema)), torch.stack(new))
    assert not torch.equal(networks.generator.backbone.blocks["layer5"].weight, before.backbone.blocks["layer5"].weight)


def test_the_warm_starts_average_has_the_magnitudes() -> None:
    stage = WarmStart(WarmStartConfig(generator=step_config().generator), 2)
    for buffer in magnitudes(stage.generator):
        buffer.fill_(2.5)  # passes too
    stage.step_count = 1
    stage._update_average()
    assert {float(buffer) for buffer in magnitudes(stage.average)} == {2.5}


def test_directions_and_tuning_find_its_layers() -> None:
    generator = tiny.generator(config=SMALL)
    ws = torch.randn(30, 16, generator=torch.Generator().manual_seed(0))
    found = torch.nn.functional.normalize(sefa_directions(generator, ws, 4), dim=1)
    torch.testing.assert_close(found @ found.T, torch.eye(4), rtol=0, atol=1e-4)
    layers = [m for m in generator.backbone.modules() if isinstance(m, AliasFreeLayer)]
    assert len(layers) == 14
    chosen = {id(p) for p in tuned_parameters(generator, 2, superresolve=False)}
    names = {name for name, p in generator.backbone.named_parameters() if id(p) in chosen}
    assert {name.split(".")[1] for name in names} == {"layer13", "torgb"}
