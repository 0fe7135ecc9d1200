"""Rendering of synthetic people on many machines: one call of a Ray process a person.

The folder of the dataset must lie on storage that all machines reach under the same path. A person's files are the same
bytes wherever they are rendered.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from panohead.synthetic.config import SyntheticDatasetConfig
from panohead.synthetic.synthesize import PeopleRenderer
from panohead.system.ray_cluster import connect, in_order_on


def rendered_person(index: int, config: SyntheticDatasetConfig, image_options: dict[str, Any] | None) -> int:
    """Render one person's files and return the number."""
    from panohead.synthetic.person_images import make_person  # here: loaded by the processes that render

    make_person(config, index, image_options)
    return index


def ray_renderer(address: str) -> PeopleRenderer:
    """Return a renderer for :func:`panohead.synthetic.synthesize.synthesize`.

    Args:
        address: address of the cluster; "auto" finds one, "local" starts one on this machine.

    Raises:
        PanoHeadError: on the first person, when Ray is not installed or the cluster cannot be reached.
    """

    def render(
        config: SyntheticDatasetConfig, missing: list[int], workers: int, image_options: dict[str, Any] | None
    ) -> Iterator[int]:
        # The processes have a current folder of their own.
        placed = replace(config, out=config.out.absolute())
        yield from in_order_on(connect(address, workers), rendered_person, missing, workers, placed, image_options)

    return render
