"""Every operator against the original's numbers."""

import pytest
import torch
from torch import Tensor

from panohead.ops.bias_act import bias_act
from panohead.ops.modulated_conv import modulated_conv2d
from panohead.ops.resample import conv2d_resample, downsample2d, filter2d, fir_filter, upfirdn2d, upsample2d
from panohead.ops.resize import filtered_resizing, gaussian_blur
from parity import golden

_, META = golden.load("ops")
CASES = META["cases"]
FILTERS = {name: fir_filter(CASES[f"filter_{name}"]["taps"]) for name in ("f4", "f3a", "sep8")}
SIMPLE = {"upsample2d": upsample2d, "downsample2d": downsample2d, "filter2d": filter2d}


def _input(tag: str) -> Tensor:
    return golden.normal(tag, tuple(META["input_shapes"][tag]))


def _pair(value: int | list[int]) -> int | tuple[int, int]:
    return value if isinstance(value, int) else (value[0], value[1])


def _family(prefix: str) -> list[str]:
    return [key for key in CASES if key.startswith(prefix)]


@pytest.mark.parametrize("key", _family("filter_"))
def test_filter(key: str) -> None:
    golden.assert_close("ops", key, fir_filter(CASES[key]["taps"]))


@pytest.mark.parametrize("key", _family("upfirdn_"))
def test_upfirdn(key: str) -> None:
    case = CASES[key]
    left, right, top, bottom = case["padding"]
    result = upfirdn2d(
        _input("ops/x"),
        FILTERS[case["filter"]],
        up=_pair(case.get("up", 1)),
        down=_pair(case.get("down", 1)),
        padding=(left, right, top, bottom),
        flip_filter=case.get("flip_filter", False),
        gain=case.get("gain", 1),
    )
    golden.assert_close("ops", key, result)


@pytest.mark.parametrize("key", [f"{name}_{taps}" for name in SIMPLE for taps in FILTERS])
def test_resampling(key: str) -> None:
    name, taps = key.rsplit("_", 1)
    golden.assert_close("ops", key, SIMPLE[name](_input("ops/x"), FILTERS[taps]))


@pytest.mark.parametrize("key", _family("convres"))
def test_convolution_with_resampling(key: str) -> None:
    case = CASES[key]
    result = conv2d_resample(
        _input("ops/x"),
        _input(case["w"]),
        FILTERS[case["filter"]],
        up=case["up"],
        down=case["down"],
        padding=case["padding"],
        flip_weight=case["flip_weight"],
    )
    golden.assert_close("ops", key, result)


@pytest.mark.parametrize("key", _family("modconv_u"))
def test_modulated_convolution(key: str) -> None:
    case = CASES[key]
    noise = _input(f"ops/mnoise{case['up']}") * 0.1 if key.endswith("n1") else None
    result = modulated_conv2d(
        _input("ops/mx"),
        _input("ops/mw"),
        _input("ops/ms") + 1,
        noise=noise,
        up=case["up"],
        padding=1,
        resample_filter=FILTERS["f4"],
        demodulate=case["demodulate"],
        flip_weight=case["flip_weight"],
        fused=case["fused"],
    )
    golden.assert_close("ops", key, result)


def test_modulated_convolution_one_by_one() -> None:
    result = modulated_conv2d(_input("ops/mx"), _input("ops/mw1"), (_input("ops/ms") + 1) * 0.3, demodulate=False)
    golden.assert_close("ops", "modconv_1x1", result)


@pytest.mark.parametrize("key", _family("modconv_fp16"))
def test_modulated_convolution_in_half_precision(key: str) -> None:
    case = CASES[key]
    result = modulated_conv2d(
        (_input("ops/mx") * 20).half(),
        _input("ops/mw"),
        (_input("ops/ms") + 1) * 30,
        up=case["up"],
        padding=1,
        resample_filter=FILTERS["f4"],
        flip_weight=case["up"] == 1,
        fused=case["fused"],
    )
    assert result.dtype == torch.float16
    golden.assert_close("ops", key, result)


@pytest.mark.parametrize("key", _family("biasact"))
def test_bias_and_activation(key: str) -> None:
    case = CASES[key]
    result = bias_act(
        _input("ops/x"), _input("ops/b"), activation=case["act"], gain=case.get("gain"), clamp=case.get("clamp")
    )
    golden.assert_close("ops", key, result)


@pytest.mark.parametrize("key", _family("resize_"))
def test_resizing(key: str) -> None:
    case = CASES[key]
    image = golden.uniform("ops/mask", (2, 1, 64, 64)) if key == "resize_int_down" else _input("ops/fr")
    mode = 0.5 if case["mode"] == "0.5" else case["mode"]
    result = filtered_resizing(image, case["size"], resample_filter=FILTERS["f4"], mode=mode)
    golden.assert_close("ops", key, result)


@pytest.mark.parametrize("key", _family("blur"))
def test_blur(key: str) -> None:
    golden.assert_close("ops", key, gaussian_blur(_input("ops/fr"), CASES[key]["sigma"]))
