"""Peak memory of this process."""

import sys

import torch

_RESIDENT_UNIT = 1 if sys.platform == "darwin" else 1024


def peak_memory_gb(device: torch.device) -> float:
    """Return the peak memory of this process in GB (1e9 bytes): of the GPU for a GPU, else resident; 0 on Windows."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e9
    try:
        import resource
    except ImportError:
        return 0.0
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _RESIDENT_UNIT / 1e9
