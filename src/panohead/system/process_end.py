"""End of a command's process."""

import atexit
import contextlib
import os
import sys
import threading
from typing import NoReturn


def end_process(code: int) -> NoReturn:
    """End this process with an exit code, without taking the interpreter apart, which takes a second with torch.

    Whatever registered for the exit runs (temporary folders, pools of threads), and both streams are flushed. Daemon
    threads end in the middle of what they do, as they always do.
    """
    for thread in threading.enumerate():
        if not thread.daemon and thread is not threading.current_thread():
            thread.join()
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        # Closed, or nobody reads it any more: the command itself has said so.
        with contextlib.suppress(OSError, ValueError, AttributeError):
            stream.flush()
    os._exit(code)
