"""Work on all of torch's threads, for compiled kernels that release the interpreter lock and share nothing."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch


def cut(count: int, parts: int) -> list[tuple[int, int]]:
    """Return ``range(count)`` in ``parts`` nearly equal pieces, as (first, last + 1)."""
    return [(count * part // parts, count * (part + 1) // parts) for part in range(parts)]


def run(work: Callable[[Any], None], parts: list[Any]) -> None:
    """Call ``work`` on all parts, as many at a time as torch has threads. An exception in one is raised here."""
    if len(parts) == 1 or torch.get_num_threads() == 1:
        for part in parts:
            work(part)
        return
    with ThreadPoolExecutor(min(len(parts), torch.get_num_threads())) as pool:
        for _ in pool.map(work, parts):
            pass
