"""``panohead`` commands in processes of their own, forked from one that has loaded PyTorch and the package.

So a start takes a tenth of a second instead of two. Tests of what happens while Python itself starts (streams that are
closed, modules in the current folder) start ``sys.executable`` instead.
"""

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

_FORKS = multiprocessing.get_context("forkserver")
_LOADED_FIRST = (
    "pytest",  # the main module of the tests, which every process imports
    "panohead.cli.main",
    "panohead.training.launch",
    "panohead.training.loop",
    "panohead.training.run.report",
    "panohead.inversion.reconstruct",
    "panohead.inversion.report",
    "panohead.gallery",
    "panohead.preparation.run",
    "numba",
    "torch._dynamo",  # loaded by the first optimizer
)


def forked(target: Callable[..., None], *arguments: Any) -> multiprocessing.process.BaseProcess:
    """Return a started process that calls an importable function."""
    _FORKS.set_forkserver_preload(list(_LOADED_FIRST))
    process = _FORKS.Process(target=target, args=arguments)
    process.start()
    return process


class Command:
    """One command in a process group of its own, with one thread; its output goes to a file."""

    def __init__(
        self, *words: str, output: Path, prepare: Callable[[], None] | None = None, **environment: str
    ) -> None:
        """Start ``panohead WORDS``.

        Args:
            words: what is typed after ``panohead``.
            output: file for both streams; is replaced.
            prepare: importable function that is called in the process before the command.
            environment: variables beside those of the tests.
        """
        output.write_bytes(b"")
        self._output, self._process = output, forked(_run, words, output, prepare, environment)
        assert self._process.pid is not None
        self.pid = self._process.pid

    def poll(self) -> int | None:
        """Return the exit code, negative after a signal; None while the process runs."""
        return self._process.exitcode

    def end(self, timeout_s: float) -> str:
        """Wait for the end and return what was printed; a process that takes longer is killed, with its group."""
        self._process.join(timeout_s)
        try:
            assert self.poll() is not None, f"the command did not end within {timeout_s:g} s: {self.output}"
        finally:
            self.kill()
        return self.output

    @property
    def output(self) -> str:
        """What was printed so far."""
        return self._output.read_text()

    def kill(self) -> None:
        """Send SIGKILL to the process and whatever it started, and wait for its end."""
        if self.poll() is None:
            os.killpg(self.pid, signal.SIGKILL)
        self._process.join()


def _run(words: tuple[str, ...], output: Path, prepare: Callable[[], None] | None, environment: dict[str, str]) -> None:
    os.setsid()
    for stream in (1, 2):
        os.dup2(os.open(output, os.O_WRONLY | os.O_APPEND), stream)
    os.environ.update(environment, OMP_NUM_THREADS="1")  # sums are added in the same order every time
    import torch

    torch.set_num_threads(1)
    from panohead.cli.main import main

    if prepare is not None:
        prepare()
    sys.argv = ["panohead", *words]
    sys.exit(main())
