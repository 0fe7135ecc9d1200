"""The preset ``official``: the original's search in w and pivotal tuning (PanoHead 4; docs/reference.md 7.4 to 7.6).

Matches the official code: the deviation of w is one norm for all dimensions, the first step has a learning rate of
zero, the rays' jitter stays random, and tuning changes every parameter with nothing to preserve unseen sides.
"""

import math
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Annotated

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from panohead.geometry import Camera
from panohead.geometry.camera import translate_label
from panohead.inversion.losses import Distance, ImageLoss
from panohead.inversion.optimization.loop import ParameterGroup, optimize
from panohead.inversion.optimization.run import OptimizationRun
from panohead.inversion.preset import InversionPreset, InversionTask
from panohead.inversion.randomness import RandomStreams
from panohead.inversion.reconstructed_head import InversionResult
from panohead.inversion.w_space import WSpace, w_space
from panohead.limits import NumberRange
from panohead.models.generator import Generator
from panohead.system.bounds import Bounded, Count, NotNegative


@dataclass(frozen=True, kw_only=True)
class OfficialConfig(Bounded):
    """Numbers of the original's script with segmentation; its plain script has 350 tuning steps and no camera offset.

    Attributes:
        steps: number of search steps.
        tuning_steps: number of tuning steps.
        learning_rate: highest learning rate of the search; it rises over the first 5 % of the steps and falls over the
            last 25 %.
        tuning_learning_rate: constant learning rate of the tuning.
        noise: standard deviation of the noise on w at the first step, in deviations of w; zero after 75 % of the steps.
        mse_weight: weight of the mean squared error, beside the perceptual distance.
        mean_w_weight: weight of the mean squared difference to the mean w.
        w_samples: number of w for the statistics of w.
        w_seed: seed of these w.
        ray_start: nearest distance of the rays' samples in world units; None leaves the generator's.
        camera_offset: apply the camera self-adaptation of the mean latent to the photo's camera.
    """

    steps: Count = 500
    tuning_steps: Count = 500
    learning_rate: NotNegative = 0.1
    tuning_learning_rate: NotNegative = 3e-4
    noise: NotNegative = 0.05
    mse_weight: NotNegative = 0.1
    mean_w_weight: NotNegative = 1.0
    w_samples: Annotated[int, NumberRange(2, 1000000)] = 10_000
    w_seed: Annotated[int, NumberRange(0, 2**32 - 1)] = 123
    ray_start: float | None = 2.35
    camera_offset: bool = True


def learning_rate_factor(step: int, steps: int) -> float:
    """Return the learning rate factor: a linear rise over the first twentieth of the steps times a cosine fall over the
    last quarter (Karras et al. 2020, StyleGAN2 section 5; docs/reference.md 7.5)."""
    t = step / steps  # 0 at the first step, below 1 at the last
    down = min(1.0, (1.0 - t) / 0.25)
    return (0.5 - 0.5 * math.cos(down * math.pi)) * min(1.0, t / 0.05)


def noise_factor(step: int, steps: int) -> float:
    """Return the factor of the noise on w: 1 at the first step, 0 from three quarters of the steps on."""
    return max(0.0, 1.0 - step / steps / 0.75) ** 2


def prepare_generator(generator: Generator, config: OfficialConfig) -> Generator:
    """Return a copy of the generator, in eval mode, whose rays start where those of the original's script do."""
    copy = deepcopy(generator).eval().requires_grad_(False)
    if config.ray_start is not None:
        copy.config = replace(copy.config, rendering=replace(copy.config.rendering, ray_start=config.ray_start))
    return copy


@torch.no_grad()
def offset_label(generator: Generator, space: WSpace, label: Float[Tensor, "1 25"]) -> Float[Tensor, "1 25"]:
    """Return the photo's label, translated by the camera self-adaptation of the mean latent (PanoHead 3.4)."""
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
    run: OptimizationRun,
    inside: Float[Tensor, "1 1 height width"] | None = None,
) -> Float[Tensor, "1 num_ws w_dim"]:
    """Return the ws (W+) after all steps of Adam from the mean w.

    Args:
        generator: result of :func:`prepare_generator`.
        target: photo in [-1, 1].
        label: camera label of the photo.
        space: statistics of w.
        loss: perceptual loss.
        config: numbers of the preset.
        streams: random numbers of every step.
        run: callbacks, log and stored states.
        inside: share of every pixel that lies in the photo; None for all of it, as in the original.
    """
    distance = loss.toward(target)
    ws = space.mean.expand(1, generator.num_ws, -1).clone().requires_grad_(True)  # 1 num_ws w_dim

    def losses(step: int) -> dict[str, Tensor]:
        scale = space.std * config.noise * noise_factor(step, config.steps)  # one number: no direction of w is special
        noisy = ws + streams.ws_noise(step, ws.detach()) * scale
        mse, perceptual = _compare(generator, noisy, label, target, distance, streams, step, inside)
        prior = (ws - space.mean).square().mean()  # holds W+ near the mean w, of all rows alike
        total = config.mse_weight * mse + perceptual + config.mean_w_weight * prior
        return {"loss": total, "mse": mse, "perceptual": perceptual, "distance to mean": prior}

    def rate(step: int) -> float:
        return learning_rate_factor(step, config.steps)

    group = ParameterGroup([ws], config.learning_rate)
    optimize("search", [group], losses, config.steps, run, rate=rate, keep_best=False)
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
    run: OptimizationRun,
    inside: Float[Tensor, "1 1 height width"] | None = None,
) -> None:
    """Tune every parameter of ``generator`` at fixed ws, in place; it is in eval mode again afterwards.

    Arguments as in :func:`search`.
    """
    distance = loss.toward(target)
    generator.train().requires_grad_(True)  # Matches the official code, which tunes in training mode.

    def losses(step: int) -> dict[str, Tensor]:
        mse, perceptual = _compare(generator, ws, label, target, distance, streams, step, inside)
        return {"loss": config.mse_weight * mse + perceptual, "mse": mse, "perceptual": perceptual}

    group = ParameterGroup(list(generator.parameters()), config.tuning_learning_rate)
    optimize("tune", [group], losses, config.tuning_steps, run, keep_best=False)
    generator.eval().requires_grad_(False)


def _compare(
    generator: Generator,
    ws: Tensor,
    label: Tensor,
    target: Tensor,
    distance: Distance,
    streams: RandomStreams,
    step: int,
    inside: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Mean squared and perceptual distance between the image of ``ws`` and the target, as far as that is photo."""
    randomness = streams.rays(step)
    field = generator.field(ws, randomness)
    image = generator.render_view(field, ws, Camera.from_label(label), randomness=randomness).image
    if inside is not None:
        image = torch.lerp(target, image, inside)
    return F.mse_loss(image, target), distance(image)


def invert_official(task: InversionTask, config: OfficialConfig, run: OptimizationRun) -> InversionResult:
    """Search, then tune a copy of the generator, for the first of the photos; masks are not used."""
    device = next(task.generator.parameters()).device
    generator = prepare_generator(task.generator, config)
    photo = task.photos[0]
    target = photo.image[None].to(device)
    inside = None if photo.inside is None else photo.inside[None].to(device)
    if inside is not None:
        target = target * inside  # gray beyond the photo, whatever the crop is filled with
    label = photo.camera.expand(1).to(device).to_label()
    space = w_space(generator, samples=config.w_samples, seed=config.w_seed)
    if config.camera_offset:
        label = offset_label(generator, space, label)
    streams = RandomStreams(task.seed, 1, device)
    ws = search(generator, target, label, space, task.loss, config=config, streams=streams, run=run, inside=inside)
    if not run.stop_requested():
        streams = RandomStreams(task.seed, 2, device)
        tune(generator, ws, target, label, task.loss, config=config, streams=streams, run=run, inside=inside)
    return InversionResult(generator, ws, [Camera.from_label(label[0])], None)


def phases(config: OfficialConfig) -> dict[str, int]:
    """Return the number of steps of every phase."""
    return {"search": config.steps, "tune": config.tuning_steps}


OFFICIAL = InversionPreset(
    name="official",
    config_type=OfficialConfig,
    search_steps="steps",
    default_seed=666,  # Matches the official code.
    max_photos=1,
    phases=phases,
    invert=invert_official,
)
