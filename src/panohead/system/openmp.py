"""Threads that wait quietly for each other."""

import os


def wait_without_spinning() -> None:
    """Have OpenMP's threads sleep while they wait, instead of burning their core.

    Small networks wait often. On two cores, beside one busy process, the spinning made ``panohead reconstruct`` 2.3
    times as slow; alone it gained 6 % (``benchmarks/waiting_threads.py``). Has an effect before torch is imported; a
    setting of the user's own stays.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
