"""Sets of generated images by route, and the gap between raw and super-resolved images.

Detail added by super-resolution is not tied to the head's geometry; successors of the paper report FID without it too.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from panohead.errors import PanoHeadError
from panohead.evaluation.distributions.distances import frechet_distance
from panohead.evaluation.distributions.image_set import ImageSet
from panohead.evaluation.distributions.metrics import SetSettings
from panohead.evaluation.distributions.sliced_wasserstein import sliced_wasserstein
from panohead.evaluation.fakes import FakeOrder
from panohead.evaluation.photos import reduced
from panohead.evaluation.protocol import Route, drawn_labels, yaw_of
from panohead.evaluation.results import Result, Skipped
from panohead.evaluation.settings import MIN_SIDE
from panohead.models.generator import Generator
from panohead.ops.pixels import image_to_uint8


@dataclass(frozen=True)
class FakeSets:
    """Sets of generated images.

    Attributes:
        by_route: images at the resolution of the evaluation.
        raw, resolved: images of the route "forward" before super-resolution, and the same ones after it averaged down
            to the same size; None without that route.
    """

    by_route: dict[Route, ImageSet]
    raw: ImageSet | None = None
    resolved: ImageSet | None = None


def fake_sets(generator: Generator, dataset_labels: Float[Tensor, "photo 25"], settings: SetSettings) -> FakeSets:
    """Render ``num`` images for each route that some row needs."""
    sets: dict[Route, ImageSet] = {}
    pair = settings.collector(), settings.collector()
    raw_side = min(generator.config.neural_rendering_resolution, settings.resolution)
    for route in dict.fromkeys(row.subset.route for row in settings.rows):
        collector = settings.collector()
        order = FakeOrder(route=route, count=settings.num, seed=settings.seed, batch=settings.batch)
        made = settings.fakes(generator, dataset_labels, order)
        with settings.progress(f"rendering ({route})", -(-settings.num // settings.batch)) as step:
            for batch in made:
                collector.add(reduced(batch.images, settings.resolution))
                if route == "forward" and raw_side >= MIN_SIDE:
                    image_raw = image_to_uint8(batch.rendering.image_raw).cpu()
                    for one, images in zip(pair, (image_raw, batch.images), strict=True):
                        one.add(reduced(images, raw_side))
                step()
        yaws = yaw_of(drawn_labels(dataset_labels, route, seed=settings.seed, first=0, count=settings.num))
        sets[route] = collector.result(yaws)
        if route == "forward" and raw_side >= MIN_SIDE:
            raw, resolved = (one.result(yaws) for one in pair)
    if "forward" not in sets or raw_side < MIN_SIDE:
        return FakeSets(sets)
    return FakeSets(sets, raw, resolved)


def raw_gap(made: FakeSets, settings: SetSettings) -> Iterator[Result | Skipped]:
    """Yield the distance of the super-resolved images from the raw ones: rows "SWD raw gap" and "FID raw gap".

    Images are paired (the same heads and cameras), so super-resolution that changes nothing has exactly 0.
    """
    raw, resolved = made.raw, made.resolved
    if raw is None or resolved is None:
        return
    counts = {"raw": len(raw), "super-resolved": len(resolved)}
    if "swd" in settings.metrics and raw.patches is not None and resolved.patches is not None:
        # No interval: the sets are paired, but the bootstrap assumes independent sets.
        found = sliced_wasserstein(raw.patches, resolved.patches, seed=settings.seed, bootstrap=0)
        details = {"per_level": {str(side): value for side, value in found.per_level.items()}}
        yield Result(metric="SWD raw gap", value=found.value, unit="std", counts=counts, details=details)
    if "fid" in settings.metrics and raw.features is not None and resolved.features is not None:
        try:
            yield Result(metric="FID raw gap", value=frechet_distance(raw.features, resolved.features), counts=counts)
        except PanoHeadError as error:
            yield Skipped("fid", f"FID raw gap: {error}")
