"""Learned position maps of the backbone."""

from dataclasses import replace

import torch
from torch import Tensor

from panohead.stylegan.synthesis import SynthesisConfig, SynthesisNetwork

CONFIG = SynthesisConfig(resolution=16, image_channels=6, channel_base=128, channel_max=16)


def networks() -> tuple[SynthesisNetwork, SynthesisNetwork]:
    """Return a network without maps and one with the same weights and random maps."""
    torch.manual_seed(0)
    plain = SynthesisNetwork(CONFIG, w_dim=8).eval()
    mapped = SynthesisNetwork(replace(CONFIG, position_maps=True), w_dim=8).eval()
    missing, unexpected = mapped.load_state_dict(plain.state_dict(), strict=False)
    assert [name.split(".")[-1] for name in missing] == ["position_map"] * 3
    assert not unexpected
    return plain, mapped


@torch.no_grad()
def test_maps_start_without_effect() -> None:
    plain, mapped = networks()
    ws = torch.randn(2, plain.num_ws, 8)
    assert torch.equal(plain(ws), mapped(ws))


@torch.no_grad()
def test_every_map_is_added_to_what_the_next_layers_read() -> None:
    _, mapped = networks()
    ws = torch.randn(2, mapped.num_ws, 8)
    for name, block in mapped.blocks.items():
        torch.nn.init.normal_(block.position_map)
        made: list[Tensor] = []
        read: list[Tensor] = []
        hooks = [
            block.conv1.register_forward_hook(lambda _, __, output, made=made: made.append(output)),
            block.torgb.register_forward_pre_hook(lambda _, inputs, read=read: read.append(inputs[0])),
        ]
        mapped(ws)
        for hook in hooks:
            hook.remove()
        side = int(name[1:])
        assert block.position_map.shape[1:] == (side, side)
        torch.testing.assert_close(read[0], made[0] + block.position_map)


def test_gradients_reach_every_texel() -> None:
    _, mapped = networks()
    mapped(torch.randn(1, mapped.num_ws, 8)).square().sum().backward()
    for block in mapped.blocks.values():
        assert (block.position_map.grad != 0).all()
