"""Discriminators against the original's numbers."""

import pytest
import torch

from panohead.interop.official import discriminator_from_official, official_state_dict
from panohead.models.discriminator import Discriminator, DiscriminatorConfig
from parity import golden

CASES = golden.load("disc")[1]["cases"]
# The numbers come from a machine with AVX2. Wider vectors round differently, and a leaky relu whose input is a rounding
# error away from 0 then changes side: one sample's gradient moves by up to 3e-4 of its norm. With
# ONEDNN_MAX_CPU_ISA=AVX2 the gradients are equal to the last bit.
KINK = 1e-3


def _discriminator(name: str) -> Discriminator:
    case = CASES[name]
    arguments = {
        "c_dim": 25,
        "img_channels": 3,
        "epilogue_kwargs": {"mbstd_group_size": case["mbstd_group_size"]},
        **{key: case[key] for key in ("img_resolution", "channel_base", "channel_max", "num_fp16_res", "conv_clamp")},
        **({"seg_resolution": case["seg_resolution"]} if "seg_resolution" in case else {}),
    }
    discriminator = discriminator_from_official(f"training.dual_discriminator.{case['cls']}", arguments)
    golden.fill_state_dict(official_state_dict(discriminator))
    return discriminator


@pytest.mark.parametrize("name", list(CASES))
def test_logits_and_gradients(name: str) -> None:
    case, arrays = CASES[name], golden.load("disc")[0]
    batch, size, raw = case["B"], case["img_resolution"], case["raw"]
    inputs = {
        "image": 0.5 * golden.normal(f"disc/{name}/image", (batch, 3, size, size)),
        "image_raw": 0.5 * golden.normal(f"disc/{name}/raw", (batch, 3, raw, raw)),
        "mask": golden.uniform(f"disc/{name}/mask", (batch, 1, raw, raw)),
    }
    for tensor in inputs.values():
        tensor.requires_grad_(True)
    logits = _discriminator(name)(**inputs, label=golden.tensor("disc", f"{name}/c"))
    golden.assert_close("disc", f"{name}/logits", logits)
    gradients = torch.autograd.grad(logits.sum(), list(inputs.values()), allow_unused=True)
    for key, gradient in zip(("image", "raw", "mask"), gradients, strict=True):
        if f"{name}/gradnorm2_{key}" not in arrays:
            assert gradient is None or key == "mask"
            continue
        assert gradient is not None
        expected = golden.tensor("disc", f"{name}/gradnorm2_{key}")
        torch.testing.assert_close(gradient.square().sum(dim=(1, 2, 3)), expected, rtol=KINK, atol=0)
        crop = golden.tensor("disc", f"{name}/grad_{key}_crop")
        torch.testing.assert_close(gradient[:2, :, :8, :8], crop, rtol=0, atol=KINK * float(crop.abs().max()))


def test_full_size() -> None:
    discriminator = discriminator_from_official(
        "MaskDualDiscriminatorV2", {"c_dim": 25, "img_resolution": 512, "img_channels": 3}
    )
    assert sum(p.numel() for p in discriminator.parameters()) == 31_359_808
    golden.fill_state_dict(official_state_dict(discriminator))
    logits = discriminator(
        0.5 * golden.normal("discfull/image", (2, 3, 512, 512)),
        0.5 * golden.normal("discfull/raw", (2, 3, 64, 64)),
        golden.uniform("discfull/mask", (2, 1, 64, 64)),
        golden.tensor("discfull", "c"),
    )
    golden.assert_close("discfull", "logits", logits)


def test_missing_input_is_named() -> None:
    discriminator = Discriminator(DiscriminatorConfig(resolution=16, channel_base=64, channel_max=4))
    image = torch.zeros(1, 3, 16, 16)
    with pytest.raises(ValueError, match="'tri' needs image_raw"):
        discriminator(image, label=torch.zeros(1, 25))
    with pytest.raises(ValueError, match="'tri' needs mask"):
        discriminator(image, image, label=torch.zeros(1, 25))


def test_label_noise_leaves_the_callers_label_alone() -> None:
    config = DiscriminatorConfig(variant="single", resolution=16, channel_base=64, channel_max=4, label_noise=0.5)
    discriminator = Discriminator(config)
    label = torch.randn(4, 25, generator=torch.Generator().manual_seed(0))
    before = label.clone()
    generator = torch.Generator().manual_seed(1)
    noisy = discriminator(torch.zeros(4, 3, 16, 16), label=label, generator=generator)
    assert torch.equal(label, before)
    again = discriminator(torch.zeros(4, 3, 16, 16), label=label, generator=torch.Generator().manual_seed(1))
    assert torch.equal(noisy, again)


def test_printing_works() -> None:
    assert "MinibatchStd" in repr(_discriminator("v2_128"))
