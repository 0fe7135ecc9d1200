"""Fast convolutions against float64 references written with PyTorch's plain ones."""

import os
import platform
import subprocess
import sys
import threading

import pytest
import torch
import torch.nn.functional as F

from panohead.ops.cpu import jit
from panohead.ops.cpu.upsample import add_upsampled, upsample2x
from panohead.ops.cpu.winograd import conv3x3_winograd, unsupported, upconv3x3, worthwhile
from panohead.ops.cpu.winograd_weights import pack_up_weight, pack_weight

needs_numba = pytest.mark.skipif(not jit.available(), reason="needs numba")

# Largest error relative to the output's rms; the direct float32 convolution reaches about 4e-6 here.
TOLERANCE = 5e-5


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def low_pass(gain: float) -> torch.Tensor:
    taps = torch.tensor([1.0, 3.0, 3.0, 1.0], dtype=torch.float64)
    return torch.outer(taps, taps) / 64 * gain


def depthwise(x: torch.Tensor, kernel: torch.Tensor) -> torch.Tensor:
    channels = x.shape[1]
    return F.conv2d(x, kernel.expand(channels, 1, 4, 4), groups=channels)


def reference(x, weight, *, up=False, style=None, demodulation=None, noise=None, bias=None, activation="linear",
              gain=None, clamp=None):  # fmt: skip
    x, weight = x.double(), weight.double()
    if style is not None:
        x = x * style[:, :, None, None]
    if up:
        x = F.conv_transpose2d(x, weight.transpose(0, 1), stride=2)
        x = depthwise(F.pad(x, (1, 1, 1, 1)), low_pass(4))
    else:
        x = F.conv2d(x, weight, padding=1)
    if demodulation is not None:
        x = x * demodulation[:, :, None, None]
    if noise is not None:
        x = x + noise
    if bias is not None:
        x = x + bias[:, None, None]
    if activation == "lrelu":
        x = F.leaky_relu(x, 0.2)
    x = x * ((2**0.5 if activation == "lrelu" else 1) if gain is None else gain)
    return x if clamp is None else x.clamp(-clamp, clamp)


def fast(x, weight, *, up=False, **options):
    return (
        upconv3x3(x, pack_up_weight(weight), **options) if up else conv3x3_winograd(x, pack_weight(weight), **options)
    )


def assert_close(got: torch.Tensor, expected: torch.Tensor) -> None:
    assert got.dtype == torch.float32
    assert got.shape == expected.shape
    rms = expected.square().mean().sqrt()
    assert (got - expected).abs().max() <= TOLERANCE * rms


@needs_numba
@pytest.mark.parametrize("up", [False, True])
@pytest.mark.parametrize(
    ("batch", "ins", "outs", "height", "width"),
    [
        (1, 16, 16, 4, 4),
        (2, 32, 48, 5, 7),
        (3, 16, 144, 1, 2),
        (1, 64, 64, 33, 17),
        (2, 16, 32, 8, 3),
        (1, 16, 80, 12, 40),
        (1, 512, 128, 8, 8),
    ],
)
def test_equals_the_direct_convolution(up, batch, ins, outs, height, width):
    x, weight = normal(batch, ins, height, width), normal(outs, ins, 3, 3, seed=1)
    assert_close(fast(x, weight, up=up), reference(x, weight, up=up))


@needs_numba
@pytest.mark.parametrize("up", [False, True])
@pytest.mark.parametrize(
    "names",
    [
        (),
        ("style",),
        ("demodulation",),
        ("bias",),
        ("noise",),
        ("noise_of_each",),
        ("style", "demodulation", "noise", "bias"),
        ("style", "demodulation", "noise_of_each", "bias"),
    ],
)
@pytest.mark.parametrize(
    "ending",
    [
        {},
        {"activation": "lrelu"},
        {"activation": "lrelu", "gain": 0.7, "clamp": 8.0},
        {"activation": "linear", "gain": 3.0, "clamp": 20.0},
    ],
)
def test_every_option(up, names, ending):
    batch, ins, outs, height, width = 3, 32, 48, 9, 6
    big = (2 * height, 2 * width) if up else (height, width)
    available = {
        "style": normal(batch, ins, seed=2),
        "demodulation": normal(batch, outs, seed=3),
        "bias": 5 * normal(outs, seed=4),
        "noise": 5 * normal(*big, seed=5),
        "noise_of_each": 5 * normal(batch, 1, *big, seed=6),
    }
    options = {name.removesuffix("_of_each"): available[name] for name in names} | ending
    x, weight = normal(batch, ins, height, width), normal(outs, ins, 3, 3, seed=1)
    assert_close(fast(x, weight, up=up, **options), reference(x, weight, up=up, **options))


@needs_numba
@pytest.mark.parametrize("up", [False, True])
@pytest.mark.parametrize(("size", "outs"), [((16, 16), 256), ((45, 50), 128), ((150, 8), 64), ((300, 5), 64)])
def test_does_not_depend_on_threads_layout_or_run(up, size, outs):
    x, weight, style = normal(2, 32, *size), normal(outs, 32, 3, 3, seed=1), normal(2, 32, seed=2)
    convolve, packed = (upconv3x3, pack_up_weight(weight)) if up else (conv3x3_winograd, pack_weight(weight))
    before = torch.get_num_threads()
    try:
        results = []
        for threads in (1, 2, 3, 1):
            torch.set_num_threads(threads)
            results.append(convolve(x, packed, style=style, activation="lrelu"))
    finally:
        torch.set_num_threads(before)
    x = x.contiguous(memory_format=torch.channels_last)
    results.append(convolve(x, packed, style=style, activation="lrelu"))
    for other in results[1:]:
        assert torch.equal(results[0], other)
    assert results[0].is_contiguous(memory_format=torch.channels_last)
    assert_close(results[0], reference(x, weight, up=up, style=style, activation="lrelu"))


@needs_numba
def test_demodulation_makes_filters_of_unit_norm():
    weight, style = normal(32, 16, 3, 3), normal(2, 16, seed=1)
    scaled = (weight * style[:, None, :, None, None]).double()
    expected = scaled.square().sum(dim=(2, 3, 4)).rsqrt()
    assert torch.allclose(pack_weight(weight).demodulation(style).double(), expected, rtol=1e-5)


@needs_numba
def test_concurrent_callers_do_not_disturb_each_other():
    inputs = [normal(1, 32, 40, 40, seed=seed) for seed in range(4)]
    packed, packed_up = pack_weight(normal(64, 32, 3, 3)), pack_up_weight(normal(64, 32, 3, 3))
    alone = [(conv3x3_winograd(x, packed), upconv3x3(x, packed_up)) for x in inputs]
    together: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}

    def call(index: int) -> None:
        together[index] = (conv3x3_winograd(inputs[index], packed), upconv3x3(inputs[index], packed_up))

    threads = [threading.Thread(target=call, args=(index,)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for index, expected in enumerate(alone):
        assert torch.equal(together[index][0], expected[0])
        assert torch.equal(together[index][1], expected[1])


@needs_numba
@pytest.mark.parametrize("up", [False, True])
def test_what_is_not_a_number_stays_visible(up):
    x = normal(1, 16, 16, 16)
    x[0, 3, 8, 8] = torch.nan
    y = fast(x, normal(16, 16, 3, 3), up=up, activation="lrelu", clamp=1.0)
    at = 16 if up else 8
    assert y[0, :, at, at].isnan().all()
    assert not y[0, :, 0, 0].isnan().any()


@needs_numba
def test_a_weight_packed_for_something_else_is_refused():
    x, weight = normal(1, 16, 8, 8), normal(32, 16, 3, 3)
    with pytest.raises(ValueError, match="up-convolution"):
        conv3x3_winograd(x, pack_up_weight(weight))
    with pytest.raises(ValueError, match="16 channels"):
        upconv3x3(normal(1, 32, 8, 8), pack_up_weight(weight))
    with pytest.raises(ValueError, match="noise"):
        conv3x3_winograd(x, pack_weight(weight), noise=normal(3, 1, 8, 8))


def test_unsupported_tells_why(monkeypatch):
    x, weight = normal(1, 16, 8, 8), normal(32, 16, 3, 3)
    if jit.available():
        assert unsupported(x, weight) is None
        assert "float32" in str(unsupported(x.double(), weight))
        assert "3x3" in str(unsupported(x, normal(32, 16, 1, 1)))
        assert "multiples of 16" in str(unsupported(x, normal(20, 16, 3, 3)))
        assert "CPU" in str(unsupported(x.to("meta"), weight))
        trained = weight.clone().requires_grad_()
        assert "gradient" in str(unsupported(x, trained))
        with torch.no_grad():
            assert unsupported(x, trained) is None
    monkeypatch.setattr("panohead.ops.cpu.winograd.available", lambda: False)
    assert "numba" in str(unsupported(x, weight))


def test_small_inputs_are_not_worthwhile():
    weight = normal(32, 16, 3, 3)
    assert not worthwhile(normal(1, 16, 4, 4), weight)
    assert worthwhile(normal(4, 16, 4, 4), weight)
    assert worthwhile(normal(1, 16, 64, 64), weight)


@pytest.mark.parametrize("shape", [(2, 32, 5, 7), (1, 3, 8, 4), (3, 16, 1, 1), (1, 48, 2, 9)])
@pytest.mark.parametrize("channels_last", [False, True])
def test_upsampling_equals_zero_insertion_and_low_pass(shape, channels_last):
    batch, channels, height, width = shape
    x, to = normal(*shape), normal(batch, channels, 2 * height, 2 * width, seed=1)
    spread = torch.zeros(batch, channels, 2 * height, 2 * width, dtype=torch.float64)
    spread[:, :, ::2, ::2] = x
    expected = depthwise(F.pad(spread, (2, 1, 2, 1)), low_pass(4))
    if channels_last:
        x, to = x.contiguous(memory_format=torch.channels_last), to.contiguous(memory_format=torch.channels_last)
    assert (upsample2x(x) - expected).abs().max() < 2e-6
    total = to + expected
    result = add_upsampled(x, to)
    assert result.data_ptr() == to.data_ptr()
    assert (result - total).abs().max() < 3e-6


def test_upsampling_keeps_gradients():
    x, to = normal(1, 16, 3, 4).requires_grad_(), normal(1, 16, 6, 8)
    add_upsampled(x, to).sum().backward()
    assert x.grad is not None
    # Every sample reaches 16 output pixels with weights that sum to 4, fewer at the border.
    assert torch.allclose(x.grad[0, 0, 1, 1:3], torch.tensor(4.0))
    assert torch.equal(to, normal(1, 16, 6, 8))


@needs_numba
@pytest.mark.slow
@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="names of x86 features")
@pytest.mark.parametrize(("features", "width"), [("+avx,+avx2,+fma", 8), ("+sse4.2", 4)])
def test_shorter_vectors(features, width, tmp_path):
    program = f"""
import torch, torch.nn.functional as F
from panohead.ops.cpu import simd
from panohead.ops.cpu.winograd import conv3x3_winograd
from panohead.ops.cpu.winograd_weights import pack_weight
assert simd.WIDTH == {width}
x, w = torch.randn(2, 32, 9, 14), torch.randn(48, 32, 3, 3)
y = conv3x3_winograd(x, pack_weight(w), activation="lrelu", gain=1.0)
expected = F.leaky_relu(F.conv2d(x.double(), w.double(), padding=1), 0.2)
assert (y - expected).abs().max() < {TOLERANCE} * expected.square().mean().sqrt()
"""
    environment = os.environ | {"NUMBA_CPU_FEATURES": features, "NUMBA_CACHE_DIR": str(tmp_path)}
    subprocess.run([sys.executable, "-c", program], check=True, env=environment)
