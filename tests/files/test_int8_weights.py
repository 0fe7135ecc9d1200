"""Weights in a byte: near what they were, whatever the rows' sizes; saved once more they stay equal."""

from pathlib import Path

import pytest
import torch

import tiny
from panohead.checkpoint import load_checkpoint, save_checkpoint
from panohead.errors import PanoHeadError
from panohead.files.int8_weights import SCALE_SUFFIX, packed_int8, unpacked_int8


def weights() -> dict[str, torch.Tensor]:
    random = torch.Generator().manual_seed(0)
    rows = torch.randn(6, 4, 3, 3, generator=random) * torch.logspace(-4, 2, 6)[:, None, None, None]
    rows[2] = 0
    return {"conv": rows, "bias": torch.randn(6, generator=random)}


def test_every_weight_is_within_half_a_step_of_its_row() -> None:
    before = weights()
    packed = packed_int8(before, {"conv"})
    assert packed["conv"].dtype == torch.int8
    assert torch.equal(packed["bias"], before["bias"])
    after = unpacked_int8(packed)
    assert after.keys() == before.keys()
    step = before["conv"].abs().amax(dim=(1, 2, 3), keepdim=True) / 127
    # Half a step of rounding, and float16's 2^-11 of the value.
    assert bool(((after["conv"] - before["conv"]).abs() <= 0.5 * step + before["conv"].abs() * 2**-10 + 1e-7).all())
    again = unpacked_int8(packed_int8(after, {"conv"}))
    torch.testing.assert_close(again["conv"], after["conv"], rtol=2e-3, atol=1e-7)


def test_scales_that_do_not_fit_are_refused() -> None:
    packed = packed_int8(weights(), {"conv"})
    packed[f"conv{SCALE_SUFFIX}"] = torch.ones(5)
    with pytest.raises(ValueError, match="conv"):
        unpacked_int8(packed)


def test_a_network_of_a_checkpoint_takes_a_quarter_of_its_size(tmp_path: Path) -> None:
    networks = {"G_ema": tiny.generator(), "attributes": tiny.attribute_encoder()}
    save_checkpoint(tmp_path / "plain.safetensors", networks)
    save_checkpoint(tmp_path / "small.safetensors", networks, in_int8=["attributes"])
    matrices = sum(p.numel() for p in networks["attributes"].parameters() if p.ndim >= 2)
    sizes = [(tmp_path / f"{name}.safetensors").stat().st_size for name in ("plain", "small")]
    assert sizes[0] - sizes[1] > 2.5 * matrices
    plain, small = (load_checkpoint(tmp_path / f"{name}.safetensors") for name in ("plain", "small"))
    for (name, value), other in zip(
        plain.generator().state_dict().items(), small.generator().state_dict().values(), strict=True
    ):
        assert torch.equal(value, other), name
    attributes = small.attribute_encoder()
    assert attributes is not None
    for name, value in networks["attributes"].state_dict().items():
        limit = float(value.abs().max()) / 200 if value.ndim >= 2 and value.numel() else 0
        torch.testing.assert_close(attributes.state_dict()[name], value, rtol=0, atol=limit, msg=name)


def test_a_damaged_scale_is_found(tmp_path: Path) -> None:
    from safetensors import safe_open
    from safetensors.torch import load_file, save_file

    path = tmp_path / "small.safetensors"
    save_checkpoint(path, {"attributes": tiny.attribute_encoder()}, in_int8=["attributes"])
    tensors = load_file(path)
    with safe_open(path, framework="pt") as file:
        metadata = dict(file.metadata())
    name = next(name for name in tensors if name.endswith(SCALE_SUFFIX))
    save_file(tensors | {name: tensors[name] * 2}, path, metadata=metadata)
    with pytest.raises(PanoHeadError, match="hash does not match"):
        load_checkpoint(path)
