"""Generated images for evaluation, rendered on many machines: one call of a Ray process a batch."""

from collections.abc import Iterator

from jaxtyping import Float
from torch import Tensor

from panohead.evaluation.fakes import FakeBatch, FakeOrder, fake_batch
from panohead.models.generator import Generator
from panohead.system.ray_cluster import connect, in_order_on


def rendered_batch(
    place: tuple[int, int], generator: Generator, dataset_labels: Float[Tensor, "photo 25"], order: FakeOrder
) -> FakeBatch:
    """Render one batch on a core of its own.

    Args:
        place: number of the first image, and of images.
    """
    import torch

    torch.set_num_threads(1)
    return fake_batch(generator, dataset_labels, order, first=place[0], size=place[1])


class RayFakes:
    """Source of fakes for :func:`panohead.evaluation.fakes.fake_batches`, on a Ray cluster.

    Args:
        address: address of the cluster; "auto" finds one, "local" starts one on this machine.
        workers: batches at a time.
    """

    def __init__(self, address: str, workers: int) -> None:
        self._address, self._workers = address, workers

    def __call__(
        self, generator: Generator, dataset_labels: Float[Tensor, "photo 25"], order: FakeOrder
    ) -> Iterator[FakeBatch]:
        """Yield all batches of an order; the images are those of one machine within rounding.

        Raises:
            PanoHeadError: when Ray is not installed, or the cluster cannot be reached or loses a process.
        """
        ray = connect(self._address, self._workers)
        shared = (generator.cpu(), dataset_labels.cpu(), order)
        yield from in_order_on(ray, rendered_batch, order.places(), self._workers, *shared)
