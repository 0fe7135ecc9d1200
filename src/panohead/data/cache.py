"""Choice of the memory that holds decoded photos: the device's, the host's, or none."""

import os
from pathlib import Path
from typing import Literal

import torch

DEVICE_SHARE = 0.25
"""Share of a GPU's free memory that photos may take; the rest is for training."""
HOST_SHARE = 0.5
"""Share of the machine's free memory that photos may take, all processes of a run together."""

Cache = Literal["auto", "device", "memory", "none"]
"""The user's wish: see :func:`place_of`."""
Place = Literal["device", "memory", "none"]
"""The memory that is chosen."""


def place_of(cache: Cache, needed: int, device: torch.device, processes: int) -> Place:
    """Choose the memory for ``needed`` bytes.

    Args:
        cache: "auto" takes the device if they fit into the share of its memory, else the host's memory if they fit
            there, else nothing is kept. Anything else is returned as it is.
        processes: number of processes on this machine that keep as much.
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
    """Return the bytes that programs may still take; half of all memory where the system does not say, else 0."""
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
