"""A good place to start from: many heads looked at quickly."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from panohead.geometry import Camera
from panohead.inversion.objective import PhotoObjective
from panohead.inversion.optimization_log import OptimizationLog
from panohead.inversion.randomness import RandomStreams
from panohead.inversion.w_space import Whitening
from panohead.models.generator import Generator

_TRUNCATION = 0.7
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
    log: OptimizationLog,
) -> Float[Tensor, " axis"]:
    """Whitened w of the head nearest to the photos among the mean, ``count`` random ones, and the mean of the best
    four."""
    state = log.load_state("screen")
    if state is not None:
        return state["start"].to(whitening.mean.device)
    resolution = max(generator.config.neural_rendering_resolution // 2, 8)
    streams = RandomStreams(seed, 0, whitening.mean.device)

    def loss(v: Tensor) -> float:
        ws = whitening.to_w(v).expand(1, generator.backbone.num_ws, -1)
        field = generator.field(ws)
        found = objective(generator, field, ws, cameras, resolution, superresolve=False)
        return float(found["photos"])

    middle = torch.zeros_like(whitening.deviation)
    tried = [(loss(middle), middle)]
    for i in range(count):
        if log.stop_requested():
            break
        noise = torch.randn(middle.shape, device=middle.device, generator=streams.generator(i, 0))
        tried.append((loss(_TRUNCATION * noise), _TRUNCATION * noise))
        log.record("screen", i + 1, count, {"loss": tried[-1][0]})
    tried.sort(key=lambda pair: pair[0])
    mean = torch.stack([v for _, v in tried[:_BEST]]).mean(dim=0)
    tried.append((loss(mean), mean))
    start = min(tried, key=lambda pair: pair[0])[1]
    if not log.stopped:
        log.save_state("screen", {"start": start.cpu()})
    return start
