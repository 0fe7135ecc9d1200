"""The switch between plain PyTorch and the fast paths beside it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_plain: ContextVar[bool] = ContextVar("plain", default=os.environ.get("PANOHEAD_PLAIN", "") == "1")


def allowed() -> bool:
    """Return True unless inside :func:`plain_only`, or PANOHEAD_PLAIN=1 was set when the package was imported."""
    return not _plain.get()


@contextmanager
def plain_only() -> Iterator[None]:
    """Use the plain references alone inside this block: for comparisons, and when in doubt."""
    token = _plain.set(True)
    try:
        yield
    finally:
        _plain.reset(token)
