"""Saves states until it is killed, as a program of its own: ``state_saver.py RUN STEP``.

For every line of its input, a count of images, it forks a process that saves from there on in a loop; this process
prints its id and then every count once saved. "killed" is printed when it has ended. (Starting torch once is quicker.)
"""

import itertools
import os
import sys
from pathlib import Path

import torch

from panohead.training.run.checkpoint import save_state


def _save_for_ever(run: Path, first: int, step: int) -> None:
    print(os.getpid(), flush=True)
    for nimg in itertools.count(first, step):
        save_state(run, nimg, {"tensors": [torch.full((100_000,), float(nimg)) for _ in range(4)]})
        os.write(1, f"{nimg}\n".encode())  # one write: a kill must not fall between the number and the end of its line


def _main() -> None:
    run, step = Path(sys.argv[1]), int(sys.argv[2])
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            _save_for_ever(run, int(line), step)
        os.waitpid(child, 0)
        print("killed", flush=True)


if __name__ == "__main__":
    _main()
