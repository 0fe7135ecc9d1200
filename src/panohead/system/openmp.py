"""Idle waiting of OpenMP's threads."""

import os


def wait_without_spinning() -> None:
    """Make OpenMP's threads sleep while they wait, instead of occupying their core.

    Small networks wait often. On two cores, beside one busy process, spinning made ``panohead reconstruct`` 2.3 times
    as slow; alone it gained 6 % (``benchmarks/waiting_threads.py``). It must be called before torch is imported; a
    setting in the user's environment stays.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
