"""Preparation on many machines: Ray Data distributes the photos to actors; the driver keeps the log.

Photos and output folder must lie on storage that all machines reach under the same path.
"""

import importlib
import json
import pickle
from collections.abc import Iterable, Iterator
from typing import Any

from panohead.preparation.records import PhotoRecord
from panohead.preparation.run import Engine
from panohead.preparation.settings import PrepareSettings
from panohead.preparation.sources import PhotoRef
from panohead.preparation.worker_pool import prepare_safely
from panohead.system.ray_cluster import connect

_BATCH = 8
"""Photos per call of an actor."""


class PhotoActor:
    """One Ray actor: it keeps the opened detectors of its process."""

    def __init__(self, settings: PrepareSettings) -> None:
        import torch

        torch.set_num_threads(1)
        self._settings, self._detectors = settings, settings.open_detectors()

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Prepare a batch of pickled photos; return their records as JSON."""
        # Bytes of the driver, which this class has pickled itself.
        refs = [pickle.loads(bytes(photo)) for photo in batch["photo"]]  # nosec B301
        records = [prepare_safely(ref, self._settings, self._detectors) for ref in refs]
        return {"record": [json.dumps(record.to_json()) for record in records]}


def ray_engine(address: str, workers: int) -> Engine:
    """Return an engine for :func:`panohead.preparation.run.prepare_steps`.

    Args:
        address: address of the cluster; "auto" finds one, "local" starts one on this machine.
        workers: number of actors.

    Raises:
        PanoHeadError: when Ray is not installed or the cluster cannot be reached.
    """
    ray = connect(address, workers)
    importlib.import_module("ray.data")

    def run(refs: Iterable[PhotoRef], settings: PrepareSettings) -> Iterator[PhotoRecord]:
        items = [{"photo": pickle.dumps(ref)} for ref in refs]
        if not items:
            return
        ray.data.DataContext.get_current().enable_progress_bars = False
        records = ray.data.from_items(
            items, override_num_blocks=min(len(items), max(workers, len(items) // _BATCH))
        ).map_batches(
            PhotoActor,
            fn_constructor_args=(settings,),
            batch_size=_BATCH,
            compute=ray.data.ActorPoolStrategy(size=max(1, min(workers, len(items)))),
        )
        for row in records.iter_rows():
            yield PhotoRecord.from_json(json.loads(row["record"]))

    return run
