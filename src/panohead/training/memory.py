"""How much memory this process has needed."""

import resource
import sys

import torch

_MAXRSS_UNIT = 1 if sys.platform == "darwin" else 1024


def peak_memory_gb(device: torch.device) -> float:
    """The most memory this process has held: on the GPU for a GPU, else resident, in GB."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e9
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _MAXRSS_UNIT / 1e9
