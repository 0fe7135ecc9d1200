"""The official protocol against the original's numbers (golden ``pti``)."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from panohead.interop.names import official_state_dict
from panohead.interop.official import generator_from_official
from panohead.inversion import official_preset as official
from panohead.inversion.losses import FeatureLoss
from panohead.inversion.official_preset import OfficialConfig
from panohead.inversion.optimization import OptimizationRun
from panohead.inversion.randomness import RandomStreams
from panohead.inversion.w_space import WSpace, w_space
from panohead.models.generator import Generator
from panohead.randomness import RenderRandomness
from parity import golden

PIXELS, SAMPLES = 16**2, 8


class StoredStreams(RandomStreams):
    """Random numbers of the golden run.

    Attributes:
        trace: ws before every step.
    """

    def __init__(self, name: str) -> None:
        super().__init__(0, 0)
        self._name = name
        self.trace: list[Tensor] = []

    def ws_noise(self, step: int, like: Tensor) -> Tensor:
        self.trace.append(like.clone())
        return golden.normal(f"pti/{self._name}/randn_like{step}", tuple(like.shape))

    def rays(self, step: int) -> RenderRandomness:
        jitter = golden.uniform(f"pti/{self._name}/rand_like{step}", (1, PIXELS, SAMPLES, 1))[..., 0]
        return RenderRandomness(
            ray_jitter=jitter, importance_u=golden.uniform(f"pti/{self._name}/rand{step}", (PIXELS, SAMPLES))
        )


def stand_in_features(image: Tensor) -> Tensor:
    """Features that the golden run had in the place of LPIPS-VGG."""
    return F.avg_pool2d(image, 8).flatten(1) / 255


def pti_generator() -> Generator:
    meta = golden.load("pti")[1]["generator"]
    channels = {"channel_base": meta["cb"], "channel_max": meta["cm"]}
    rendering: dict[str, Any] = {
        **golden.load("gen_p3")[1]["rendering_kwargs"],
        "superresolution_module": "training.superresolution.SuperresolutionHybrid2X",
        "triplane_size": meta["triplane_size"],
        "triplane_depth": meta["triplane_depth"],
        "decoder_activation": meta["decoder_activation"],
        "depth_resolution": meta["depth_resolution"],
        "depth_resolution_importance": meta["depth_resolution_importance"],
    }
    generator = generator_from_official(
        {
            "z_dim": meta["z_dim"],
            "c_dim": 25,
            "w_dim": 512,
            "img_resolution": meta["img"],
            "img_channels": 3,
            "mapping_kwargs": {"num_layers": 2},
            "rendering_kwargs": rendering,
            "num_fp16_res": 0,
            "conv_clamp": None,
            "sr_num_fp16_res": 4,
            "sr_kwargs": {**channels, "fused_modconv_default": "inference_only"},
            "fused_modconv_default": "inference_only",
            **channels,
        },
        neural_rendering_resolution=meta["neural_rendering_resolution"],
    )
    golden.fill_state_dict(official_state_dict(generator))
    return generator


@pytest.fixture(scope="module")
def generator() -> Generator:
    return official.prepare_generator(pti_generator(), OfficialConfig())


@pytest.fixture(scope="module")
def space(generator: Generator) -> WSpace:
    return w_space(generator, samples=golden.load("pti")[1]["withseg"]["w_avg_samples"])


@pytest.fixture(scope="module")
def target() -> Tensor:
    return (golden.uniform("pti/target", (3, 128, 128)) * 256).floor()[None] / 127.5 - 1


def search(generator: Generator, space: WSpace, target: Tensor, label: Tensor, name: str, steps: int) -> list[Tensor]:
    """Ws after every step."""
    loss = FeatureLoss(stand_in_features)
    config, streams = OfficialConfig(steps=steps), StoredStreams(name)
    ws = official.search(generator, target, label, space, loss, config=config, streams=streams, run=OptimizationRun())
    return [*streams.trace[1:], ws]


def test_learning_rate_and_noise_schedules() -> None:
    golden.assert_close(
        "pti", "schedule_500_lr", [0.1 * official.learning_rate_factor(step, 500) for step in range(500)]
    )
    golden.assert_close("pti", "schedule_500_noise_factor", [official.noise_factor(s, 500) * 0.05 for s in range(500)])


def test_camera_offset(generator: Generator, space: WSpace) -> None:
    moved = official.offset_label(generator, space, golden.tensor("pti", "c_in"))
    golden.assert_close("pti", "withseg/c_out", moved)


@pytest.mark.parametrize(("name", "steps"), [("withseg", 7), ("plain", 5)])
def test_search(generator: Generator, space: WSpace, target: Tensor, name: str, steps: int) -> None:
    label = golden.tensor("pti", f"{name}/c_out")
    trace = search(generator, space, target, label, name, steps)
    golden.assert_close("pti", f"{name}/w_steps", torch.stack([ws[0, :, ::16] for ws in trace]))
    golden.assert_close("pti", f"{name}/w_last", trace[-1][0, ::3])


def test_tuning(generator: Generator, space: WSpace, target: Tensor) -> None:
    label = golden.tensor("pti", "withseg/c_out")
    ws = search(generator, space, target, label, "withseg", 7)[-1]
    tuned = official.prepare_generator(generator, OfficialConfig(ray_start=None))
    before = {name: value.clone() for name, value in official_state_dict(tuned).items()}
    golden.assert_close("pti", "tune/decoder.net.2.weight_before", before["decoder.net.2.weight"])
    loss = FeatureLoss(stand_in_features)
    config, streams = OfficialConfig(tuning_steps=4), StoredStreams("tune")
    official.tune(tuned, ws, target, label, loss, config=config, streams=streams, run=OptimizationRun())
    after = official_state_dict(tuned)
    names = golden.load("pti")[0]["tune/param_names"]
    golden.assert_close("pti", "tune/param_change_norm", [float((after[n] - before[n]).norm()) for n in names])
    golden.assert_close("pti", "tune/decoder.net.2.weight", after["decoder.net.2.weight"])
    rays = StoredStreams("final").rays(0)
    with torch.no_grad():
        image = tuned.synthesis(ws, label, ray_jitter=rays.ray_jitter, importance_u=rays.importance_u).image
    golden.assert_close("pti", "tune/image_sub2", image[:, :, ::2, ::2])
    assert not tuned.training
