"""The protocol of the original: search w, then tune the generator (paper section 4.4, pivotal tuning; facts section 7).

Its oddities are kept: the deviation of w is one norm for all dimensions, the first step has a learning rate of zero,
the rays' jitter stays random, and tuning moves every parameter with nothing to hold unseen sides.
"""

import math
from copy import deepcopy
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from panohead.geometry.camera import Camera, translate_label
from panohead.inversion.losses import Distance, ImageLoss
from panohead.inversion.optimization_log import OptimizationLog
from panohead.inversion.optimizer_state import adam_state, restore_adam
from panohead.inversion.randomness import RandomStreams
from panohead.inversion.w_space import WSpace
from panohead.models.generator import Generator

_BETAS = (0.9, 0.999)


@dataclass(frozen=True, kw_only=True)
class OfficialConfig:
    """Numbers of the script with segmentation; the plain script has 350 tuning steps and no camera offset.

    Attributes:
        steps, tuning_steps: of the search and of the tuning.
        learning_rate: of the search at its height; ramped up over 5 % and down over the last 25 % of the steps.
        noise: of w at the first step, in deviations of w; gone after 75 % of the steps.
        mse_weight: beside the perceptual distance.
        mean_w_weight: of the mean squared difference to the mean w.
        w_samples, w_seed: of the statistics of w.
        ray_start: forced on the renderer (world units); None leaves it.
        camera_offset: ask the camera's self-adaptation once, and keep its answer.
    """

    steps: int = 500
    tuning_steps: int = 500
    learning_rate: float = 0.1
    tuning_learning_rate: float = 3e-4
    noise: float = 0.05
    mse_weight: float = 0.1
    mean_w_weight: float = 1.0
    w_samples: int = 10_000
    w_seed: int = 123
    ray_start: float | None = 2.35
    camera_offset: bool = True


def learning_rate_factor(step: int, steps: int) -> float:
    """The cosine ramp-down over the last quarter times the linear ramp-up over the first twentieth."""
    t = step / steps
    down = min(1.0, (1.0 - t) / 0.25)
    return (0.5 - 0.5 * math.cos(down * math.pi)) * min(1.0, t / 0.05)


def noise_factor(step: int, steps: int) -> float:
    """Of the noise on w: 1 at first, 0 from three quarters of the steps on."""
    return max(0.0, 1.0 - step / steps / 0.75) ** 2


def prepared(generator: Generator, config: OfficialConfig) -> Generator:
    """A copy of the generator, in eval mode, whose rays start where the original's script has them start."""
    copy = deepcopy(generator).eval().requires_grad_(False)
    if config.ray_start is not None:
        copy.config = replace(copy.config, rendering=replace(copy.config.rendering, ray_start=config.ray_start))
    return copy


@torch.no_grad()
def offset_label(generator: Generator, space: WSpace, label: Float[Tensor, "1 25"]) -> Float[Tensor, "1 25"]:
    """The target's label moved by what the camera's self-adaptation says of the mean latent."""
    return translate_label(label, generator.align_camera(space.mean_z[None], label))


def search(
    generator: Generator,
    target: Float[Tensor, "1 3 height width"],
    label: Float[Tensor, "1 25"],
    space: WSpace,
    loss: ImageLoss,
    *,
    config: OfficialConfig,
    streams: RandomStreams,
    log: OptimizationLog,
    trace: list[Tensor] | None = None,
) -> Float[Tensor, "1 num_ws w_dim"]:
    """W+ of the target by Adam from the mean w. ``trace`` collects ws after every step."""
    distance = loss.toward(target)
    ws = space.mean.expand(1, generator.backbone.num_ws, -1).clone().requires_grad_(True)
    adam = torch.optim.Adam([ws], betas=_BETAS, lr=config.learning_rate)
    start = restore_adam(log.load_state("search"), [ws], adam)
    for step in range(start, config.steps):
        if log.stop_requested():
            break
        adam.param_groups[0]["lr"] = config.learning_rate * learning_rate_factor(step, config.steps)
        scale = space.std * config.noise * noise_factor(step, config.steps)
        noisy = ws + streams.ws_noise(step, ws.detach()) * scale
        mse, perceptual = _compare(generator, noisy, label, target, distance, streams, step)
        prior = (ws - space.mean).square().mean()
        total = config.mse_weight * mse + perceptual + config.mean_w_weight * prior
        adam.zero_grad(set_to_none=True)
        total.backward()
        adam.step()
        if trace is not None:
            trace.append(ws.detach().clone())
        parts = {"loss": total, "mse": mse, "perceptual": perceptual, "distance to mean": prior}
        log.record("search", step + 1, config.steps, parts)
        start = step + 1
        if log.is_due(start):
            log.save_state("search", adam_state(start, [ws], adam))
    if log.path is not None:
        log.save_state("search", adam_state(start, [ws], adam))
    return ws.detach()


def tune(
    generator: Generator,
    ws: Float[Tensor, "1 num_ws w_dim"],
    target: Float[Tensor, "1 3 height width"],
    label: Float[Tensor, "1 25"],
    loss: ImageLoss,
    *,
    config: OfficialConfig,
    streams: RandomStreams,
    log: OptimizationLog,
) -> None:
    """Tune every parameter of ``generator``, in place, at a fixed w; it is in eval mode again afterwards."""
    distance = loss.toward(target)
    generator.train().requires_grad_(True)
    parameters = list(generator.parameters())
    adam = torch.optim.Adam(parameters, lr=config.tuning_learning_rate, betas=_BETAS)
    start = restore_adam(log.load_state("tune"), parameters, adam)
    for step in range(start, config.tuning_steps):
        if log.stop_requested():
            break
        mse, perceptual = _compare(generator, ws, label, target, distance, streams, step)
        total = config.mse_weight * mse + perceptual
        adam.zero_grad(set_to_none=True)
        total.backward()
        adam.step()
        parts = {"loss": total, "mse": mse, "perceptual": perceptual}
        log.record("tune", step + 1, config.tuning_steps, parts)
        start = step + 1
        if log.is_due(start):
            log.save_state("tune", adam_state(start, parameters, adam))
    if log.path is not None:
        log.save_state("tune", adam_state(start, parameters, adam))
    generator.eval().requires_grad_(False)


def _compare(
    generator: Generator,
    ws: Tensor,
    label: Tensor,
    target: Tensor,
    distance: Distance,
    streams: RandomStreams,
    step: int,
) -> tuple[Tensor, Tensor]:
    """Mean squared and perceptual distance of the picture of ``ws``."""
    randomness = streams.rays(step)
    field = generator.field(ws, randomness)
    image = generator.render_view(field, ws, Camera.from_label(label), randomness=randomness).image
    return F.mse_loss(image, target), distance(image)
