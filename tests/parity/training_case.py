"""The networks, photos and random numbers of loss.npz, and the comparison of gradients with it."""

from functools import cache

from torch import Tensor, nn

from panohead.interop.arguments import discriminator_config, generator_config
from panohead.interop.names import official_name
from panohead.models.discriminator import Discriminator
from panohead.models.generator import Generator
from panohead.training.losses import RealBatch
from panohead.training.schedules import ScheduleConfig, Scheduled
from parity.golden import assert_close, fill_official, load, normal, tensor, uniform

BATCH, RESOLUTION, RAYS = 4, 128, 16
RELATIVE, ABSOLUTE = 1e-3, 1e-7
"""Of a gradient's norm, tighter than tolerances.json, whose one number per case hides small gradients. Measured: 6e-5.
The rest is for other machines: golden was made with AVX2 convolutions, and other roundings tip leaky relus over their
kink, each of which moves a gradient by its share (ONEDNN_MAX_CPU_ISA=AVX2 brings the golden kinks back)."""


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
def photos() -> RealBatch:
    """The real batch."""
    size = (BATCH, 3, RESOLUTION, RESOLUTION)
    image, mask = 0.4 * normal("loss/real", size), uniform("loss/seg", (BATCH, 1, *size[2:]))
    return RealBatch(image, mask, tensor("loss", "real_c"))


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


def draw(case: str, number: int, shape: tuple[int, ...], kind: str = "rand") -> Tensor:
    """The ``number``-th random array of a case: "rand" or "rand_like" (uniform), "randn_like" (normal)."""
    make = normal if kind == "randn_like" else uniform
    return make(f"loss/{case}/{kind}{number}", shape)


def assert_gradients(case: str, network: nn.Module, *, gain: float = 1.0, relative: float = RELATIVE) -> None:
    """Compare all gradients' norms (up to ``relative``) and the stored gradients.

    ``gain`` is the original's factor of lazy losses.
    """
    arrays, _ = load("loss")
    own = {official_name(network, name): p.grad for name, p in network.named_parameters()}
    expected = dict(zip(arrays[f"{case}/grad_names"].tolist(), arrays[f"{case}/grad_norms"].tolist(), strict=True))
    assert own.keys() == expected.keys()
    for name, norm in expected.items():
        gradient = own[name]
        found = -1.0 if gradient is None else float(gradient.double().norm()) * gain
        if name.endswith("noise_strength"):
            # Golden drew zeros as pixel noise (gradient 0), the tests draw none (no gradient, written -1).
            assert norm <= 0, name
            assert found == -1, name
        else:
            assert abs(found - norm) <= relative * abs(norm) + ABSOLUTE, f"{case}: {name} has {found}, golden {norm}"
    prefix = f"{case}/grad/"
    for key in (key for key in arrays if key.startswith(prefix)):
        gradient = own[key.removeprefix(prefix)]
        assert gradient is not None
        assert_close("loss", key, gradient * gain)
