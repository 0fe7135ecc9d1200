"""GRAF's field: the positional encoding, the two codes, and layers whose codes are multiplied once."""

import math

import pytest
import torch

from panohead.models.generator_config import GeneratorConfig
from panohead.models.implicit import GrafField, ImplicitFieldConfig, SplitCodes
from panohead.models.implicit.graf import encoded_width, positional_encoding
from panohead.stylegan.mapping import Truncation
from panohead.system.bounds import OutOfRange

W_DIM = 5
CONFIG = ImplicitFieldConfig(kind="graf", width=12, layers=4, position_octaves=3, direction_octaves=2)


def test_positional_encoding_is_the_formula_of_the_paper() -> None:
    x = torch.tensor([0.3, -0.7, 0.1])
    found = positional_encoding(x, 3)
    assert len(found) == encoded_width(3) == 21
    sines = [math.sin(2**k * math.pi * float(p)) for k in range(3) for p in x]
    cosines = [math.cos(2**k * math.pi * float(p)) for k in range(3) for p in x]
    assert torch.allclose(found, torch.tensor([*x.tolist(), *sines, *cosines]), atol=1e-5)


def test_appearance_and_view_change_no_shape() -> None:
    torch.manual_seed(0)
    field = GrafField(CONFIG, w_dim=W_DIM, out_features=3, box_warp=0.8)
    points, ws, here = torch.rand(2, 7, 3) - 0.5, torch.randn(2, 2, W_DIM), torch.eye(3)[0].expand(2, 7, 3)
    density, color = field(points, here, ws)
    appearance, shape = ws.clone(), ws.clone()
    appearance[:, 1] += 1
    shape[:, 0] += 1
    other_density, other_color = field(points, here, appearance)
    assert torch.equal(density, other_density)
    assert not torch.allclose(color, other_color, atol=1e-3)
    assert not torch.allclose(field.density(points, shape), density, atol=1e-3)
    assert not torch.allclose(field(points, -here, ws)[1], color, atol=1e-3)


def test_layers_equal_layers_of_concatenated_inputs() -> None:
    """GRAF equations 3 to 6, with codes repeated for every point as the paper writes them."""
    torch.manual_seed(0)
    field = GrafField(CONFIG, w_dim=W_DIM, out_features=3, box_warp=0.8).double()
    points, ws = (torch.rand(1, 4, 3) - 0.5).double(), torch.randn(1, 2, W_DIM).double()
    code = ws[:, :1].expand(-1, 4, -1)
    encoded = torch.cat([positional_encoding(points / 0.4, 3), code], dim=2)[0]
    x = encoded
    for i, layer in enumerate(field.layers):
        x = layer(torch.cat([x, encoded], dim=1) if i == 2 else x)
    density = field.density_output(x) * CONFIG.density_gain
    assert torch.allclose(field.density(points, ws)[0], density)


def test_codes_are_halves_of_z_and_truncation_scales_them() -> None:
    codes, z = SplitCodes(2 * W_DIM, W_DIM), torch.randn(3, 2 * W_DIM)
    ws = codes(z, None)
    assert torch.equal(ws.flatten(1), z)
    assert torch.equal(codes(z, None, truncation=Truncation(0.5)), ws / 2)
    half = codes(z, None, truncation=Truncation(0.5, 1))
    assert torch.equal(half[:, 0], ws[:, 0] / 2)
    assert torch.equal(half[:, 1], ws[:, 1])


def test_widths_that_do_not_fit_are_refused() -> None:
    with pytest.raises(OutOfRange, match="2 x w_dim, 32"):
        GeneratorConfig(z_dim=16, w_dim=16, implicit=ImplicitFieldConfig(kind="graf"))
    with pytest.raises(OutOfRange, match="belongs to tri-grids"):
        GeneratorConfig(implicit=ImplicitFieldConfig(), deformation=4)
