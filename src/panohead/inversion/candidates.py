"""Initialization of the search by random candidates."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from panohead.geometry import Camera
from panohead.inversion.objective import PhotoObjective
from panohead.inversion.optimization.run import OptimizationRun
from panohead.inversion.randomness import RandomStreams
from panohead.inversion.w_space import Whitening
from panohead.models.generator import Generator

_TRUNCATION = 0.7  # as the default psi of sampled heads: rarer w lie farther from most people
_BEST = 4


@torch.no_grad()
def screen(
    generator: Generator,
    objective: PhotoObjective,
    cameras: Sequence[Camera],
    whitening: Whitening,
    count: int,
    *,
    seed: int,
    run: OptimizationRun,
) -> Float[Tensor, " axis"]:
    """Return the whitened w of the smallest loss among the mean w, random ones, and the mean of the best four of these.

    Args:
        generator: in eval mode, without gradients.
        objective: photos to compare with, at half the rays per side and without super-resolution.
        cameras: cameras of the photos.
        whitening: coordinates in which the random w are standard normal, times 0.7.
        count: number of random candidates.
        seed: seed of the candidates.
        run: callbacks, log and stored states; the phase is called "screen".
    """
    state = run.load_state("screen")
    if state is not None:
        return state["start"].to(whitening.mean.device)
    resolution = max(generator.config.neural_rendering_resolution // 2, 8)
    streams = RandomStreams(seed, 0, whitening.mean.device)

    def loss(v: Tensor) -> float:
        ws = whitening.to_w(v).expand(1, generator.backbone.num_ws, -1)  # axis -> 1 num_ws w_dim
        field = generator.field(ws)
        parts = objective(generator, field, ws, cameras, resolution, superresolve=False)
        return float(parts["photos"])

    # The origin of whitened coordinates is the mean w.
    mean_head = torch.zeros_like(whitening.deviation)
    tried = [(loss(mean_head), mean_head)]
    for i in range(count):
        if run.stop_requested():
            break
        noise = torch.randn(mean_head.shape, device=mean_head.device, generator=streams.generator(i, 0))
        tried.append((loss(_TRUNCATION * noise), _TRUNCATION * noise))
        run.record("screen", i + 1, count, {"loss": tried[-1][0]})
    tried.sort(key=lambda pair: pair[0])
    # Heads that resemble the photos differ from them in different ways; their mean often resembles them more.
    mean = torch.stack([v for _, v in tried[:_BEST]]).mean(dim=0)  # candidate axis -> axis
    tried.append((loss(mean), mean))
    start = min(tried, key=lambda pair: pair[0])[1]
    if not run.log.stopped:
        run.save_state("screen", {"start": start.cpu()})
    return start
