"""Several processes that train together: ranks, gradient averaging, failure detection, interruption."""

from panohead.training.distributed.interruption import StopRequest, stop_on_signals
from panohead.training.distributed.ranks import (
    Ranks,
    average,
    average_gradients,
    average_tensors,
    barrier,
    broadcast_module,
    choose_device,
    join_ranks,
    same_everywhere,
)

__all__ = [
    "Ranks",
    "StopRequest",
    "average",
    "average_gradients",
    "average_tensors",
    "barrier",
    "broadcast_module",
    "choose_device",
    "join_ranks",
    "same_everywhere",
    "stop_on_signals",
]
