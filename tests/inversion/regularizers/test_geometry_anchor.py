"""The regularization of the surface on all sides."""

import torch

import tiny
from panohead.geometry import Camera
from panohead.inversion.regularizers.geometry_anchor import GeometryAnchor


def test_density_is_held_and_color_is_free() -> None:
    generator = tiny.generator()
    ws = generator.mapping_network.w_avg.expand(1, generator.backbone.num_ws, -1)
    anchor = GeometryAnchor(generator, ws, [Camera.orbit(0)])
    assert float(anchor.difference(generator.field(ws), 0)) < 1e-5
    generator.decoder.output.bias[1:] += 2
    assert float(anchor.difference(generator.field(ws), 1)) < 1e-5, "color"
    generator.decoder.output.bias[0] += 3
    generator.requires_grad_(True)
    differences = [anchor.difference(generator.field(ws), step) for step in (0, 1, 10)]
    assert min(float(d.detach()) for d in differences) > 0.05
    differences[0].backward()
    gradient = generator.decoder.output.bias.grad
    assert gradient is not None
    assert float(gradient[0]) > 0
    assert bool((gradient[1:] == 0).all())


def test_a_head_without_a_surface_is_held_empty() -> None:
    generator = tiny.generator()
    generator.decoder.output.weight[0] = 0
    generator.decoder.output.bias[0] = -50
    ws = generator.mapping_network.w_avg.expand(1, generator.backbone.num_ws, -1)
    anchor = GeometryAnchor(generator, ws, [Camera.orbit(0)])
    assert float(anchor.difference(generator.field(ws), 0)) < 1e-5
    generator.decoder.output.bias[0] = 50
    assert float(anchor.difference(generator.field(ws), torch.iinfo(torch.int32).max)) > 0.9
