"""How much memory this process has needed."""

import sys

import torch

_RESIDENT_UNIT = 1 if sys.platform == "darwin" else 1024


def peak_memory_gb(device: torch.device) -> float:
    """The most memory this process has held, in GB (1e9 bytes): on the GPU for a GPU, else resident; 0 on Windows."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e9
    try:
        import resource
    except ImportError:
        return 0.0
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _RESIDENT_UNIT / 1e9
