"""The alias-free network: the paper's schedule, a plain layer, running magnitudes, equivariance of random weights."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import signal
from torch import Tensor

from panohead.errors import PanoHeadError
from panohead.evaluation.equivariance import equivariance
from panohead.stylegan.alias_free import (
    AliasFreeLayer,
    AliasFreeSynthesis,
    FourierFeatures,
    copy_magnitudes,
    magnitudes,
)
from panohead.stylegan.alias_free_schedule import AliasFreeConfig, LayerBand, layer_bands

SMALL = AliasFreeConfig(resolution=16, image_channels=6, channel_base=128, channel_max=8)
MEASURED = AliasFreeConfig(resolution=64, image_channels=6, channel_base=512, channel_max=16)


def network(config: AliasFreeConfig = SMALL, seed: int = 0) -> AliasFreeSynthesis:
    """An untrained network."""
    torch.manual_seed(seed)
    return AliasFreeSynthesis(config, w_dim=16)


def rows(net: AliasFreeSynthesis, count: int = 1, seed: int = 1) -> Tensor:
    """Equal rows of random w."""
    w = torch.randn(count, 1, 16, generator=torch.Generator().manual_seed(seed))
    return w.expand(-1, net.num_ws, -1)


def test_the_papers_schedule_at_1024_pixels() -> None:
    """Section 3.2: cutoffs from 2 to s/2 and stopbands from 2^2.1 to 2^0.3 s/2 by constant factors; 14 layers."""
    bands = layer_bands(AliasFreeConfig(resolution=1024, image_channels=3))
    cutoffs = [band.cutoff for band in bands]
    assert (len(bands), cutoffs[0], cutoffs[12], cutoffs[13]) == (14, 2, pytest.approx(512), pytest.approx(512))
    factors = np.diff(np.log2(cutoffs[:13]))
    np.testing.assert_allclose(factors, 8 / 12)
    stopbands = [2 ** (2.1 + (9.3 - 2.1) * i / 12) for i in range(13)]
    for band, stopband in zip(bands, [*stopbands, stopbands[-1]], strict=True):
        least = min(2 * stopband, 1024)
        assert band.rate / 2 < least <= band.rate
        assert band.cutoff + band.half_width == pytest.approx(max(stopband, band.rate / 2))
    assert [band.critical for band in bands] == [False] * 12 + [True] * 2
    assert [band.rate for band in bands][-2:] == [1024, 1024]
    assert [band.channels for band in bands][-2:] == [32, 32], "StyleGAN2's at 1024 pixels"


def test_config_r_has_twice_the_channels_and_a_single_pixel_kernel() -> None:
    t = layer_bands(MEASURED)
    r = layer_bands(replace(MEASURED, rotations=True))
    assert [band.channels for band in r] == pytest.approx([2 * band.channels for band in t], abs=1), "rounded"
    net = network(replace(SMALL, rotations=True))
    layers = [block for block in net.blocks.values() if isinstance(block, AliasFreeLayer)]
    assert {tuple(layer.weight.shape[2:]) for layer in layers} == {(1, 1)}
    assert [layer.down.rank > 1 for layer in layers] == [True] * 12 + [False] * 2, "radial but for the last two"


def test_frequencies_fill_the_disc_of_the_first_cutoff() -> None:
    torch.manual_seed(0)
    features = FourierFeatures(LayerBand(2.0, 6.0, 16, 4096, False), 0, w_dim=2)
    radius = features.frequencies().norm(dim=1)
    assert float(radius.max()) <= 2
    assert float((radius < 1).float().mean()) == pytest.approx(0.25, abs=0.03), "even over the area"
    assert features.frequencies().mean(dim=0).abs().max() < 0.1


def test_w_turns_and_moves_the_features_and_its_length_does_not_turn_them() -> None:
    torch.manual_seed(0)
    features = FourierFeatures(LayerBand(2.0, 6.0, 16, 8, False), 0, w_dim=4)
    w = torch.randn(3, 4)
    assert torch.equal(features.learned_motion(w), torch.eye(3).expand(3, 3, 3)), "the identity at the start"
    with torch.no_grad():
        features.affine.bias.copy_(torch.tensor([0.0, 2.0, 0.5, 0.0]))
    motion = features.learned_motion(w)[0]
    turn = torch.tensor([[0.0, -1.0], [1.0, 0.0]])
    torch.testing.assert_close(motion[:2, :2], turn)
    torch.testing.assert_close(motion[:2, 2], turn @ torch.tensor([0.25, 0.0]))
    with torch.no_grad():
        features.affine.bias.mul_(3)
    torch.testing.assert_close(features.learned_motion(w)[0], motion)


def plain_layer(layer: AliasFreeLayer, x: np.ndarray, w: Tensor, before: LayerBand, band: LayerBand) -> np.ndarray:
    """One sample through a layer of config T by definition, with SciPy's filters and convolutions."""
    style = layer.affine(w)[0].detach().double().numpy()
    weight = layer.weight.detach().double().numpy() * style[None, :, None, None]
    weight /= np.sqrt(np.square(weight).sum(axis=(1, 2, 3), keepdims=True) + 1e-8)
    convolved = np.stack(
        [sum(signal.correlate2d(x[i], weight[o, i], mode="same") for i in range(len(x))) for o in range(len(weight))]
    )
    convolved = convolved / math.sqrt(float(layer.magnitude)) + layer.bias.detach().double().numpy()[:, None, None]
    rate = 2 * max(before.rate, band.rate)
    up, down = rate // before.rate, rate // band.rate
    rising = signal.firwin(6 * up, before.cutoff, width=2 * before.half_width, fs=rate)
    falling = signal.firwin(6 * down, band.cutoff, width=2 * band.half_width, fs=rate)
    out = []
    for channel in convolved:
        fine = np.zeros((len(channel) * up + 200,) * 2)  # 100 fine samples of zeros on every side
        fine[100 : 100 + len(channel) * up : up, 100 : 100 + len(channel) * up : up] = channel * up**2
        fine = signal.convolve2d(fine, np.outer(rising, rising))  # sample i lies at i - 100 + 0.5 up - 3 up + 0.5
        fine = np.where(fine > 0, fine, 0.2 * fine) * math.sqrt(2)
        fine = signal.convolve2d(fine, np.outer(falling, falling))
        # Outputs lie at (j - 10 + 0.5) down from the canvas's edge, the input's first pixel at (0.5 - 10) up.
        first = (0.5 - 10) * down - ((0.5 - 10) * up - 100 - (6 * up - 1) / 2 - (6 * down - 1) / 2)
        index = np.rint(first + down * np.arange(band.rate + 20)).astype(int)
        out.append(fine[np.ix_(index, index)])
    return np.stack(out)


@pytest.mark.parametrize("number", [3, 4, 13])
def test_layer_is_convolution_and_filtered_leaky_relu(number: int) -> None:
    """Same rate, twice the rate, and critically sampled; away from the borders, where both are the same signal."""
    config = AliasFreeConfig(resolution=32, image_channels=1, channel_base=8, channel_max=2)
    bands = layer_bands(config)
    before, band = bands[number - 1], bands[number]
    torch.manual_seed(3)
    layer = AliasFreeLayer(before, band, config, w_dim=5).eval()
    with torch.no_grad():
        layer.magnitude.fill_(2.5)
        layer.bias.normal_()
    x, w = torch.randn(1, before.channels, before.rate + 20, before.rate + 20), torch.randn(1, 5)
    expected = plain_layer(layer, x[0].double().numpy(), w, before, band)
    np.testing.assert_allclose(layer(x, w)[0].detach().numpy(), expected, atol=5e-5)


def test_running_magnitudes_move_in_training_passes_alone_and_cancel_the_scale() -> None:
    net = network()
    ws = rows(net)
    start = torch.stack(magnitudes(net))
    assert start.tolist() == [1] * 15 + [0] * 15
    with torch.no_grad():
        net(ws)
    net.eval()(ws)
    assert torch.equal(torch.stack(magnitudes(net)), start)
    image = net.train()(ws)
    moved = torch.stack(magnitudes(net))
    assert (moved != start).all()
    first = net.blocks["input"](ws[:, 0])
    torch.testing.assert_close(net.blocks["layer0"].magnitude, first.square().mean())
    assert moved[15:].tolist() == [1] * 15, "passes"
    net(ws)
    torch.testing.assert_close(net.blocks["layer0"].magnitude, first.square().mean())  # the same input again
    moved = torch.stack(magnitudes(net))
    other = network(seed=5)
    copy_magnitudes(other, net)
    assert torch.equal(torch.stack(magnitudes(other)), moved)
    # Features 10 times as large with a mean square 100 times as large are the same to what follows.
    layer = net.eval().blocks["layer0"]
    x = torch.randn(1, layer.weight.shape[1], 36, 36)
    before = layer(x, ws[:, 0])
    with torch.no_grad():
        layer.magnitude.mul_(100)
    torch.testing.assert_close(layer(10 * x, ws[:, 0]), before)
    assert image.isfinite().all()


def test_shapes_order_gradients_and_one_sample_at_a_time() -> None:
    net = network()
    assert net.num_ws == 16
    ws = rows(net, 2)
    image = net(ws)
    assert image.shape == (2, 6, 16, 16)
    image.square().mean().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() and p.grad.any() for p in net.parameters())
    net.eval()
    order = torch.tensor([5, 0, 3, 1, 4, 2])
    with torch.no_grad():
        image = net(ws)
        torch.testing.assert_close(net(ws, order=order), image[:, order])
        torch.testing.assert_close(torch.cat([net(ws[:1]), net(ws[1:])]), image)
    assert 0.01 < float(image.std()) < 10, "filters take energy from layer to layer until magnitudes are known"


@pytest.mark.parametrize(("settings", "words"), [({"resolution": 48}, "power of two"), ({"resolution": 8}, "16"),
                                                 ({"taps": 5}, "even")])  # fmt: skip
def test_sizes_that_cannot_be_are_refused(settings: dict[str, int], words: str) -> None:
    with pytest.raises(PanoHeadError, match=words):
        replace(SMALL, **settings)


def test_config_t_follows_translations_and_not_rotations() -> None:
    net = network(MEASURED).eval()
    found = equivariance(net, rows(net), moves=1)
    assert found.translation > 50
    assert found.fraction > 50
    assert found.rotation < 30


def test_config_r_follows_rotations_too() -> None:
    net = network(replace(MEASURED, rotations=True)).eval()
    found = equivariance(net, rows(net), moves=1)
    assert min(found.translation, found.fraction, found.rotation) > 50


def test_without_margins_borders_tell_positions() -> None:
    net = network(replace(MEASURED, margin=0)).eval()
    assert equivariance(net, rows(net), moves=1).translation < 40
