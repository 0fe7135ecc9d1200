"""Reuse of large buffers: on Linux a third of an image's CPU time would otherwise be page faults.

glibc returns the memory of every freed large tensor to the kernel and asks for new, zeroed pages for the next one.
"""

import ctypes
import sys

_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4


def keep_large_buffers() -> bool:
    """Make glibc's malloc reuse large blocks for the rest of this process; return True where that is possible.

    Memory then stays at its peak until the process ends, so this is for programs (our command line calls it), not for
    libraries.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    return bool(mallopt(_M_MMAP_MAX, 0)) and bool(mallopt(_M_TRIM_THRESHOLD, ctypes.c_int(2**31 - 1)))
