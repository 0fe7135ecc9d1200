"""The golden generators' official arguments and inputs."""

from typing import Any

import torch
from torch import Tensor

from panohead.interop.official import generator_from_official, official_state_dict
from panohead.models.generator import Generator
from parity import golden

NAMES = {"gen_p1": "const", "gen_p2": "const", "gen_p3": "const", "gen_p4": "none"}
"""The golden generators and the noise mode of their renders."""


def official_arguments(name: str) -> dict[str, Any]:
    """Constructor arguments as an official pickle holds them."""
    meta = golden.load(name)[1]
    config = meta.get("config", {})
    channels = {"channel_base": config.get("cb", 32768), "channel_max": config.get("cm", 512)}
    return {
        "z_dim": config.get("z_dim", 512),
        "c_dim": 25,
        "w_dim": 512,
        "img_resolution": config.get("img", 512),
        "img_channels": 3,
        "mapping_kwargs": {"num_layers": 2},
        "rendering_kwargs": meta["rendering_kwargs"],
        "num_fp16_res": 0,
        "conv_clamp": None,
        "sr_num_fp16_res": 4,
        "sr_kwargs": {**channels, "fused_modconv_default": "inference_only"},
        "fused_modconv_default": "inference_only",
        **channels,
    }


def golden_generator(name: str) -> Generator:
    """A golden generator with the recipe's weights."""
    generator = generator_from_official(official_arguments(name))
    golden.fill_state_dict(official_state_dict(generator))
    return generator


def mixed_ws(name: str, generator: Generator) -> Tensor:
    """ws with unequal rows, so that a wrong assignment of rows shows up."""
    ws = golden.tensor(name, "ws")
    rows = generator.backbone.num_ws
    return ws.repeat(1, rows, 1) + 0.7 * golden.normal("wsmix", (len(ws), rows, 512))


def draws(batch: int, resolution: int, samples: int) -> dict[str, Tensor]:
    """The renderer's random numbers of a golden render."""
    return {
        "ray_jitter": golden.uniform(f"render{resolution}/jitter", (batch, resolution**2, samples, 1))[..., 0],
        "importance_u": golden.uniform(f"render{resolution}/u", (batch * resolution**2, samples)),
    }


def statistics(image: Tensor) -> Tensor:
    """Mean, standard deviation, minimum, maximum, mean absolute value."""
    x = image.double()
    return torch.stack([x.mean(), x.std(correction=0), x.min(), x.max(), x.abs().mean()])
