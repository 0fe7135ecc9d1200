"""Initialization of the search by random candidates."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from panohead.geometry import Camera
from panohead.inversion.objective import PhotoObjective
from panohead.inversion.optimization.run import OptimizationRun
from panohead.inversion.randomness import RandomStreams
from panohead.inversion.search.search_space import SearchSpace
from panohead.models.generator import Generator
from panohead.ops.waits import reading_waits

_TRUNCATION = 0.7  # as the default psi of sampled heads: rarer w lie farther from most people
_BEST = 4
_AT_ONCE = 8  # candidates that a GPU makes at once; a CPU gains nothing from it


@torch.no_grad()
def screen(
    generator: Generator,
    objective: PhotoObjective,
    cameras: Sequence[Camera],
    space: SearchSpace,
    count: int,
    *,
    seed: int,
    run: OptimizationRun,
) -> Float[Tensor, " number"]:
    """Return the start of the smallest loss among the mean head, random ones, and the mean of the best four of these.

    Args:
        generator: in eval mode, without gradients.
        objective: photos to compare with, at half the rays per side and without super-resolution.
        cameras: cameras of the photos.
        space: coordinates of the starts; random ones are brought nearer to the mean head, times 0.7.
        count: number of random candidates.
        seed: seed of the candidates.
        run: callbacks, log and stored states; the phase is called "screen".
    """
    state = run.take_state("screen")
    if state is not None:
        with run.restoring():
            return state["start"].to(space.mean.device)
    resolution = max(generator.config.neural_rendering_resolution // 2, 8)
    streams = RandomStreams(seed, 0, space.mean.device)

    def losses(candidates: list[Tensor]) -> list[float]:
        """Return the distances to the photos, one per candidate; waits for the device once."""
        # candidate times number -> candidate num_ws w_dim
        ws = torch.cat([space.w_at(v).expand(1, generator.num_ws, -1) for v in candidates])
        fields, distances = generator.trigrid(ws), []
        for i in range(len(ws)):
            head = slice(i, i + 1)
            parts = objective(generator, fields.select(head), ws[head], cameras, resolution, superresolve=False)
            distances.append(parts["photos"])
        return torch.stack(distances).tolist()

    mean_head = space.mean
    tried = [(losses([mean_head])[0], mean_head)]
    at_once = _AT_ONCE if reading_waits(mean_head.device) else 1
    for first in range(0, count, at_once):
        if run.stop_requested():
            break
        numbers = range(first, min(first + at_once, count))
        candidates = [_TRUNCATION * space.random(streams.generator(i, 0)) for i in numbers]
        tried += zip(losses(candidates), candidates, strict=True)
        for i, (loss, _) in zip(numbers, tried[-len(numbers) :], strict=True):
            run.record("screen", i + 1, count, {"loss": loss})
    tried.sort(key=lambda pair: pair[0])
    # Heads that resemble the photos differ from them in different ways; their mean often resembles them more.
    mean = torch.stack([v for _, v in tried[:_BEST]]).mean(dim=0)  # candidate number -> number
    tried.append((losses([mean])[0], mean))
    start = min(tried, key=lambda pair: pair[0])[1]
    if not run.log.stopped:
        run.save_state("screen", {"start": start.cpu()}, keep=True)
    return start
