"""Position maps added to a generator that has none."""

from dataclasses import replace

import torch

import tiny
from panohead.geometry import Camera
from panohead.models.generator import Generator
from panohead.models.position_maps import with_position_maps


def image(generator: Generator) -> torch.Tensor:
    ws = generator.mapping_network.w_avg.expand(1, generator.backbone.num_ws, -1)
    return generator.render_view(generator.field(ws), ws, Camera.orbit(20)).image


def test_new_maps_change_nothing_and_make_the_generator_of_its_configuration() -> None:
    plain = tiny.generator()
    before = {name: value.clone() for name, value in plain.state_dict().items()}
    mapped = with_position_maps(plain)
    assert torch.equal(image(mapped), image(plain))
    assert not plain.config.position_maps
    assert plain.state_dict().keys() == before.keys()
    built = Generator(mapped.config).eval()
    assert built.config == replace(plain.config, position_maps=True)
    built.load_state_dict(mapped.state_dict())
    assert torch.equal(image(built.requires_grad_(False)), image(plain))


def test_maps_that_are_there_stay() -> None:
    generator = tiny.generator(config=replace(tiny.CONFIG, position_maps=True))
    block = generator.backbone.blocks["b16"]
    block.position_map.add_(torch.randn_like(block.position_map))
    copied = with_position_maps(generator)
    assert copied is not generator
    assert torch.equal(copied.backbone.blocks["b16"].position_map, block.position_map)
    assert torch.equal(image(copied), image(generator))
