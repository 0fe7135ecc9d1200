"""Where decoded photos are kept, and whether they fit there."""

import os
from pathlib import Path
from typing import Literal

import torch

DEVICE_SHARE = 0.25
"""Of a GPU's free memory that photos may take by themselves; the rest is for training."""
HOST_SHARE = 0.5
"""Of the machine's free memory, all processes of a run together."""

Cache = Literal["auto", "device", "memory", "none"]
Place = Literal["device", "memory", "none"]


def place_of(cache: Cache, needed: int, device: torch.device, processes: int) -> Place:
    """Where to keep ``needed`` bytes.

    Args:
        cache: "auto" takes the device if they fit into the share of its memory, else the host's memory if they fit
            there, else nothing is kept. Anything else is obeyed.
        processes: how many of them keep as much on this machine at most.
    """
    if cache != "auto":
        return cache
    host = free_host_memory() * HOST_SHARE / processes
    if device.type != "cuda":
        return "device" if needed <= host else "none"
    free, _ = torch.cuda.mem_get_info(device)
    if needed <= free * DEVICE_SHARE:
        return "device"
    return "memory" if needed <= host else "none"


def free_host_memory() -> int:
    """Bytes that programs may still take; half of all memory where the system does not say, 0 if it says nothing."""
    limits = [_available(), _container_limit()]
    return min((limit for limit in limits if limit is not None), default=0)


def _available() -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration):
        pass
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    except (AttributeError, ValueError, OSError):
        return None


def _container_limit() -> int | None:
    try:
        return int(Path("/sys/fs/cgroup/memory.max").read_text())
    except (OSError, ValueError):  # not in a container, or "max"
        return None
