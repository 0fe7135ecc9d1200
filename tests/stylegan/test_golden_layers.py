"""Layers, blocks and mapping networks against the original's numbers."""

import math

import pytest
import torch
from torch import Tensor, nn

from panohead.randomness import RenderRandomness
from panohead.stylegan.discriminator_blocks import DiscriminatorBlock, DiscriminatorEpilogue, MinibatchStd
from panohead.stylegan.layers import Convolution, FullyConnected, normalize_second_moment
from panohead.stylegan.mapping import MappingNetwork, Truncation
from panohead.stylegan.synthesis import BlockConfig, SynthesisBlock
from panohead.stylegan.synthesis_layers import SynthesisLayer, ToRGB
from parity import golden

_, META = golden.load("ops")
CONST, NONE = RenderRandomness(noise_mode="const"), RenderRandomness(noise_mode="none")
HALF = math.sqrt(0.5)


def _input(tag: str) -> Tensor:
    return golden.normal(tag, tuple(META["input_shapes"][tag]))


def _filled(module: nn.Module, prefix: str) -> nn.Module:
    names = {prefix + name.replace("layers.", ""): value for name, value in module.state_dict().items()}
    golden.fill_state_dict(names)
    return module.eval().requires_grad_(False)


@pytest.mark.parametrize(
    ("key", "layer"),
    [
        ("fc_lin", FullyConnected(12, 9)),
        ("fc_lrelu", FullyConnected(12, 9, activation="lrelu", lr_multiplier=0.01)),
        ("fc_nobias", FullyConnected(12, 9, bias=False, lr_multiplier=0.5)),
    ],
)
def test_fully_connected(key: str, layer: FullyConnected) -> None:
    golden.assert_close("ops", f"mod_{key}", _filled(layer, f"{key}.")(_input("ops/fx")))


@pytest.mark.parametrize(
    ("key", "layer", "gain"),
    [
        ("conv_d", Convolution(5, 4, 3, activation="lrelu", down=2, conv_clamp=1.0), HALF),
        ("conv_1d", Convolution(5, 4, 1, bias=False, down=2), HALF),
        ("conv_u", Convolution(5, 4, 3, up=2), 1.0),
        ("conv_1u", Convolution(5, 4, 1, activation="lrelu", up=2), 1.0),
    ],
)
def test_convolution(key: str, layer: Convolution, gain: float) -> None:
    golden.assert_close("ops", f"mod_{key}", _filled(layer, f"{key}.")(_input("ops/cx"), gain=gain))


@pytest.mark.parametrize("noise", [CONST, NONE])
@pytest.mark.parametrize("fused", [True, False])
def test_synthesis_layer(noise: RenderRandomness, fused: bool) -> None:
    x, w = _input("ops/cx"), _input("ops/wv")
    plain = _filled(SynthesisLayer(5, 6, w_dim=24, resolution=16), "slayer_u1.")
    golden.assert_close("ops", f"mod_slayer_u1_{noise.noise_mode}", plain(x, w, randomness=noise, fused=fused))
    up = _filled(SynthesisLayer(5, 6, w_dim=24, resolution=32, up=2, conv_clamp=2.0), "slayer_u2.")
    golden.assert_close("ops", f"mod_slayer_u2_{noise.noise_mode}", up(x, w, randomness=noise, fused=fused))


def test_to_rgb() -> None:
    layer = _filled(ToRGB(5, 3, w_dim=24, conv_clamp=2.5), "torgb.")
    golden.assert_close("ops", "mod_torgb", layer(_input("ops/cx"), _input("ops/wv")))


def _block(in_channels: int, resolution: int, **options: object) -> SynthesisBlock:
    architecture = options.pop("architecture", "skip")
    config = BlockConfig(architecture=architecture)  # type: ignore[arg-type]
    return SynthesisBlock(in_channels, 6, w_dim=24, resolution=resolution, image_channels=3, config=config, **options)


def _assert_pair(key: str, result: tuple[Tensor, Tensor | None]) -> None:
    golden.assert_close("ops", f"{key}_0", result[0])
    if f"{key}_1" in golden.load("ops")[0]:
        assert result[1] is not None
        golden.assert_close("ops", f"{key}_1", result[1])


def test_synthesis_blocks() -> None:
    x, image, ws = _input("ops/cx"), _input("ops/img"), _input("ops/ws3")
    first = _filled(_block(0, 4), "sblk_first.")
    _assert_pair("mod_sblk_first", first(None, None, ws[:, :2], randomness=CONST))
    skip = _filled(_block(5, 32, is_last=True), "sblk_skip.")
    _assert_pair("mod_sblk_skip", skip(x, image, ws, randomness=CONST))
    resnet = _filled(_block(5, 32, is_last=True, architecture="resnet"), "sblk_resnet.")
    _assert_pair("mod_sblk_resnet", resnet(x, None, ws, randomness=CONST))


def test_block_without_upsampling_leaves_its_image_alone() -> None:
    image = _input("ops/img")
    before = image.clone()
    block = _filled(_block(5, 16, upsample=False), "sblk_noup.")
    _assert_pair("mod_sblk_noup", block(_input("ops/cx"), image, _input("ops/ws3"), randomness=NONE))
    assert torch.equal(image, before), "the original adds into its input; this one must not"


@pytest.mark.parametrize("architecture", ["resnet", "skip", "orig"])
def test_discriminator_block(architecture: str) -> None:
    block = DiscriminatorBlock(5, 5, 7, image_channels=3, architecture=architecture)  # type: ignore[arg-type]
    result = _filled(block, f"dblk_{architecture}.")(_input("ops/cx"), _input("ops/img"))
    _assert_pair(f"mod_dblk_{architecture}", result)


def test_first_discriminator_block_and_epilogue() -> None:
    first = _filled(DiscriminatorBlock(0, 5, 7, image_channels=3), "dblk_first.")
    _assert_pair("mod_dblk_first", first(None, _input("ops/img")))
    golden.assert_close("ops", "mod_mbstd", MinibatchStd(4, 1)(_input("ops/ex")))
    golden.assert_close("ops", "mod_mbstd2", MinibatchStd(None, 2)(_input("ops/ex")))
    epilogue = _filled(DiscriminatorEpilogue(6, label_map_dim=6, image_channels=3), "epi.")
    golden.assert_close("ops", "mod_epi", epilogue(_input("ops/ex"), None, _input("ops/cm")))


def test_minibatch_statistics_refuse_a_batch_they_cannot_split() -> None:
    with pytest.raises(ValueError, match="batch of 6"):
        MinibatchStd(4)(torch.zeros(6, 2, 4, 4))


@pytest.mark.parametrize(
    ("key", "truncation"),
    [
        ("a", None),
        ("b", Truncation(0.7)),
        ("c", Truncation(0.6, 3)),
        ("d", Truncation(0.5, 14)),
    ],
)
def test_mapping(key: str, truncation: Truncation | None) -> None:
    mapping = _filled(MappingNetwork(10, 25, 14, num_ws=8, num_layers=2), f"map_{key}.mapping.")
    result = mapping(_input("ops/zz"), _input("ops/cc"), truncation=truncation)
    golden.assert_close("ops", f"mod_map_{key}.mapping", result)


def test_mappings_without_latent_without_label_and_for_the_camera() -> None:
    z, label = _input("ops/zz"), _input("ops/cc")
    labels_only = _filled(MappingNetwork(0, 25, 14, num_ws=None), "map_nz.mapping.")
    golden.assert_close("ops", "mod_map_nz.mapping", labels_only(None, label))
    unconditional = _filled(MappingNetwork(10, 0, 14, num_ws=3, num_layers=3), "map_nc.mapping.")
    golden.assert_close("ops", "mod_map_nc.mapping", unconditional(z, None))
    camera = MappingNetwork(10, 25, 3, num_ws=1, num_layers=2, last_activation="linear", lr_multiplier=1.0)
    result = _filled(camera, "t_mapping.")(z, label, truncation=Truncation(0.7, 14))
    golden.assert_close("ops", "mod_t_mapping", result)


def test_mean_w_follows_the_batches() -> None:
    mapping = _filled(MappingNetwork(10, 25, 14, num_ws=8, num_layers=2), "map_e.mapping.")
    mapping(_input("ops/zz"), _input("ops/cc"), update_w_avg=True)
    golden.assert_close("ops", "w_avg_after_update", mapping.w_avg)


def test_truncation_reaches_the_mean_and_spares_the_rest() -> None:
    mapping = MappingNetwork(4, 0, 6, num_ws=5, num_layers=2)
    mapping.w_avg.copy_(torch.arange(6.0))
    ws = mapping(torch.randn(2, 4, generator=torch.Generator().manual_seed(0)), None)
    truncated = mapping.truncate(ws, Truncation(0.0, 2))
    torch.testing.assert_close(truncated[:, :2], torch.arange(6.0).expand(2, 2, 6))
    assert torch.equal(truncated[:, 2:], ws[:, 2:])


def test_golden_normalization() -> None:
    golden.assert_close("ops", "norm2", normalize_second_moment(_input("ops/n2")))
