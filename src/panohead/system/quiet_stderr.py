"""Suppression of messages that native libraries write to the terminal past Python (MediaPipe: a dozen per photo)."""

import os
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet_stderr() -> Iterator[None]:
    """Discard output to file descriptor 2; if the block ends in an exception, print it after all."""
    with warnings.catch_warnings(), tempfile.TemporaryFile() as heard:
        warnings.filterwarnings("ignore", category=UserWarning, module="google.protobuf")
        try:
            terminal = os.dup(2)
        except OSError:  # no standard error at all
            yield
            return
        os.dup2(heard.fileno(), 2)
        failed = True
        try:
            yield
            failed = False
        finally:
            os.dup2(terminal, 2)
            os.close(terminal)
            if failed:
                heard.seek(0)
                os.write(2, heard.read())
