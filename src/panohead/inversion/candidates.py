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
from panohead.ops.waits import reading_waits

_TRUNCATION = 0.7
_BEST = 4
_AT_ONCE = 8  # candidates that a GPU makes at once; a CPU gains nothing from it


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

    def losses(candidates: list[Tensor]) -> list[float]:
        """Distances to the photos, one per candidate; waits for the device once."""
        ws = torch.cat([whitening.to_w(v).expand(1, generator.backbone.num_ws, -1) for v in candidates])
        fields = generator.field(ws)
        found = []
        for i in range(len(ws)):
            head = slice(i, i + 1)
            parts = objective(generator, fields.select(head), ws[head], cameras, resolution, superresolve=False)
            found.append(parts["photos"])
        return torch.stack(found).tolist()

    middle = torch.zeros_like(whitening.deviation)
    tried = [(losses([middle])[0], middle)]
    at_once = _AT_ONCE if reading_waits(middle.device) else 1
    for first in range(0, count, at_once):
        if log.stop_requested():
            break
        numbers = range(first, min(first + at_once, count))
        candidates = [
            _TRUNCATION * torch.randn(middle.shape, device=middle.device, generator=streams.generator(i, 0))
            for i in numbers
        ]
        tried += zip(losses(candidates), candidates, strict=True)
        for i, (loss, _) in zip(numbers, tried[-len(numbers) :], strict=True):
            log.record("screen", i + 1, count, {"loss": loss})
    tried.sort(key=lambda pair: pair[0])
    mean = torch.stack([v for _, v in tried[:_BEST]]).mean(dim=0)
    tried.append((losses([mean])[0], mean))
    start = min(tried, key=lambda pair: pair[0])[1]
    if not log.stopped:
        log.save_state("screen", {"start": start.cpu()})
    return start
