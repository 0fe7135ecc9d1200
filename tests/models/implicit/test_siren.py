"""pi-GAN's field: SIREN's statistics, the modulation's formula, and what view and head may change."""

import torch
from torch import Tensor

from panohead.models.implicit import ImplicitFieldConfig, SirenField
from panohead.models.implicit.siren import ModulatedSine, SineTrunk

W_DIM = 8


def hidden_units(trunk: SineTrunk, points: Tensor, ws: Tensor) -> list[Tensor]:
    """Values of all layers, by the layers themselves."""
    values, x = [], points * trunk.scale
    for i, layer in enumerate(trunk.layers):
        x = layer(x, ws[:, i])
        values.append(x)
    return values


def test_statistics_of_activations_are_the_same_at_every_depth() -> None:
    """SIREN 3.2. For arguments of variance v the sine has variance (1 - exp(-2 v)) / 2 and the next layer twice that.

    The fixed point of v = 1 - exp(-2 v) is 0.797, so that sines keep a variance of 0.398 however deep.
    """
    torch.manual_seed(0)
    config = ImplicitFieldConfig(width=128, layers=9, modulation=0.0)
    trunk = SineTrunk(config, w_dim=W_DIM, scale=2.0)
    points = torch.rand(1, 1000, 3) - 0.5
    with torch.no_grad():
        found = hidden_units(trunk, points, torch.zeros(1, 9, W_DIM))
    assert abs(float(found[0].var()) - 0.5) < 0.03  # uniform phases: the arcsine distribution
    for values in found[1:]:
        over_space = values.var(dim=1).mean()  # within a unit: not merely between units
        assert 0.33 < float(over_space) < 0.45
        assert abs(float(values.mean())) < 0.05
    assert abs(float(found[-1].var()) - 0.398) < 0.03


def test_statistics_vanish_with_other_weights() -> None:
    torch.manual_seed(0)
    trunk = SineTrunk(ImplicitFieldConfig(width=64, layers=6, modulation=0.0), w_dim=W_DIM, scale=2.0)
    for layer in list(trunk.layers)[1:]:
        layer.weight_gain /= 2
    with torch.no_grad():
        found = hidden_units(trunk, torch.rand(1, 500, 3) - 0.5, torch.zeros(1, 6, W_DIM))
    assert float(found[-1].var(dim=1).mean()) < 0.1


def test_layer_is_the_formula_of_the_paper() -> None:
    """sin(gamma (W x + b) + phase), element by element; w = 0 leaves SIREN's layer."""
    torch.manual_seed(1)
    layer = ModulatedSine(3, 5, w_dim=W_DIM, frequency=7.0, modulation=0.5, first=True).double()
    x, w = torch.randn(2, 4, 3).double(), torch.randn(2, W_DIM).double()
    gamma, phase = layer.modulations(w)
    assert gamma.shape == phase.shape == (2, 5)
    found = layer(x, w)
    weight, bias = layer.weight * layer.weight_gain, layer.bias * layer.bias_gain
    for head in range(2):
        for point in range(4):
            for unit in range(5):
                argument = gamma[head, unit] * (weight[unit] @ x[head, point] + bias[unit]) + phase[head, unit]
                assert torch.allclose(found[head, point, unit], argument.sin())
    gamma, phase = layer.modulations(torch.zeros(1, W_DIM).double())
    assert (gamma == 7.0).all()
    assert (phase == 0).all()
    assert float(weight.detach().abs().max()) <= 1 / 3


def test_heads_are_their_own_and_the_view_changes_colors_alone() -> None:
    torch.manual_seed(2)
    field = SirenField(ImplicitFieldConfig(width=16, layers=2), w_dim=W_DIM, out_features=3, box_warp=0.8)
    assert field.num_ws == 3
    points, ws = torch.rand(2, 6, 3) - 0.5, torch.randn(2, 3, W_DIM)
    here, there = torch.eye(3)[0].expand(2, 6, 3), torch.eye(3)[1].expand(2, 6, 3)
    density, color = field(points, here, ws)
    alone = field(points[1:], here[1:], ws[1:])
    assert torch.allclose(density[1:], alone[0], atol=1e-5)
    assert torch.allclose(color[1:], alone[1], atol=1e-5)
    other_density, other_color = field(points, there, ws)
    assert torch.equal(density, other_density)
    assert not torch.allclose(color, other_color, atol=1e-3)
    assert torch.allclose(field.density(points, ws), density)
    assert color.min() >= 0
    assert color.max() <= 1
    # The last row of ws is the color's alone.
    changed = ws.clone()
    changed[:, -1] += 1
    assert torch.equal(field.density(points, changed), field.density(points, ws))
