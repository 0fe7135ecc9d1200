"""The networks, photos and random numbers of loss.npz, and the comparison of gradients with it."""

from functools import cache

import torch
from torch import Tensor, nn

from panohead.interop.arguments import discriminator_config, generator_config
from panohead.interop.names import official_name
from panohead.models.discriminator import Discriminator
from panohead.models.generator import Generator
from panohead.training.losses import Photos
from panohead.training.schedules import ScheduleConfig, Scheduled
from parity.golden import fill_official, load, normal, tensor, tolerance, uniform

BATCH, RESOLUTION, RAYS = 4, 128, 16
NORM_ALLOWANCE = 2e-3
"""Relative: golden was made with AVX2 convolutions. On AVX512 their rounding tips a few leaky relus over their kink; each
tipped one moves a gradient by about its share. With ONEDNN_MAX_CPU_ISA=AVX2 none of this allowance is needed."""


def generator() -> Generator:
    """The tiny generator of loss.npz in training mode, freshly filled."""
    config = load("loss")[1]["generator"]
    rendering = {
        "superresolution_module": "SuperresolutionHybrid2X",
        "c_scale": 1,
        "superresolution_noise_mode": "none",
        "decoder_activation": "none",
        "use_torgb_raw": True,
        "triplane_size": config["triplane_size"],
        "triplane_depth": config["triplane_depth"],
        "trans_reg": 10,
        "use_background": True,
        "depth_resolution": config["depth_resolution"],
        "depth_resolution_importance": config["depth_resolution_importance"],
        "ray_start": 2.25,
        "ray_end": 3.3,
        "box_warp": 1,
    }
    kwargs = {
        "z_dim": config["z_dim"],
        "c_dim": 25,
        "w_dim": 512,
        "channel_base": config["cb"],
        "channel_max": config["cm"],
        "mapping_kwargs": {"num_layers": 2},
        "rendering_kwargs": rendering,
        "fused_modconv_default": "inference_only",
        "num_fp16_res": 0,
        "conv_clamp": None,
        "sr_num_fp16_res": 4,
        "sr_kwargs": {"fused_modconv_default": "inference_only"},
    }
    network = Generator(generator_config(kwargs)).train()
    fill_official(network)
    return network


def discriminator() -> Discriminator:
    """The tiny discriminator of loss.npz in training mode, freshly filled."""
    kwargs = {
        "c_dim": 25,
        "img_resolution": RESOLUTION,
        "channel_base": 1024,
        "channel_max": 16,
        "num_fp16_res": 4,
        "conv_clamp": 256,
        "epilogue_kwargs": {"mbstd_group_size": 4},
    }
    network = Discriminator(discriminator_config("MaskDualDiscriminatorV2", kwargs)).train()
    fill_official(network)
    return network


@cache
def photos() -> Photos:
    """The real batch."""
    size = (BATCH, 3, RESOLUTION, RESOLUTION)
    image, mask = 0.4 * normal("loss/real", size), uniform("loss/seg", (BATCH, 1, *size[2:]))
    return Photos(image, mask, tensor("loss", "real_c"))


def scheduled(case: str) -> Scheduled:
    """The schedule of a case of loss.npz."""
    kwargs = load("loss")[1]["loss_kwargs"]
    config = ScheduleConfig(
        blur_init_sigma=kwargs["blur_init_sigma"],
        blur_fade_kimg=kwargs["blur_fade_kimg"],
        density_noise_fade_kimg=kwargs["density_noise_fade_kimg"],
        pose_swap_probability=kwargs["gpc_reg_prob"],
        pose_swap_fade_kimg=kwargs["gpc_reg_fade_kimg"],
        neural_resolution_initial=kwargs["neural_rendering_resolution_initial"],
        neural_resolution_final=kwargs["neural_rendering_resolution_final"],
        neural_resolution_fade_kimg=kwargs["neural_rendering_resolution_fade_kimg"],
    )
    return config.at(load("loss")[1]["cases"][case]["cur_nimg"])


def gradient_errors(case: str, network: nn.Module, gain: float = 1.0) -> tuple[dict[str, float], dict[str, float]]:
    """Errors of the gradients' norms and of the stored gradients, each over what is allowed; below 1 is good.

    ``gain`` multiplies the network's gradients, as the original multiplies lazily regularised losses.
    """
    arrays, _ = load("loss")
    own = {official_name(network, name): p.grad for name, p in network.named_parameters()}
    expected = dict(zip(arrays[f"{case}/grad_names"].tolist(), arrays[f"{case}/grad_norms"].tolist(), strict=True))
    assert own.keys() == expected.keys()
    norms = {}
    for name, norm in expected.items():
        gradient = own[name]
        if name.endswith("noise_strength"):
            # Golden drew zeros as pixel noise (gradient 0); the tests draw none (no gradient).
            assert norm <= 0
            assert gradient is None
        elif norm < 0:
            assert gradient is None or not gradient.any(), name
        else:
            assert gradient is not None, name
            found = float(gradient.double().norm()) * gain
            norms[name] = abs(found - norm) / (tolerance("loss", f"{case}/grad_norms")[0] + NORM_ALLOWANCE * norm)
    prefix = f"{case}/grad/"
    stored = {key.removeprefix(prefix) for key in arrays if key.startswith(prefix)}
    values = {name: _relative(case, name, own[name], gain) for name in stored}
    return norms, values


def _relative(case: str, name: str, gradient: Tensor | None, gain: float) -> float:
    key = f"{case}/grad/{name}"
    expected = tensor("loss", key)
    assert gradient is not None
    allowed = tolerance("loss", key)[1] + NORM_ALLOWANCE * float(expected.square().mean().sqrt())
    return float((gradient * gain - expected).abs().max()) / allowed


def draw(case: str, number: int, shape: tuple[int, ...], kind: str = "rand") -> Tensor:
    """The ``number``-th random number array of a case: "rand", "rand_like" (uniform) or "randn_like" (normal)."""
    make = normal if kind == "randn_like" else uniform
    return make(f"loss/{case}/{kind}{number}", shape)


def no_parameter_gradients(network: nn.Module) -> None:
    """The other player's parameters stand still."""
    network.requires_grad_(False)


def check(errors: dict[str, float]) -> None:
    """Fail with the worst offenders."""
    worst = sorted(errors.items(), key=lambda item: -item[1])[:3]
    assert not worst or worst[0][1] <= 1, f"gradients beyond what is allowed: {worst}"


def seeded(seed: int = 0) -> torch.Generator:
    """A source of random numbers."""
    return torch.Generator().manual_seed(seed)
