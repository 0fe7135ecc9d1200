"""State that all tabs share: heads, the render queue, long work, and the settings of the viewer."""

import time
from collections.abc import Hashable
from dataclasses import dataclass
from pathlib import Path

from panohead.models.generator import Generator
from panohead.viewer.choices import HeadChoice, ViewRequest
from panohead.viewer.heads import HeadShelf
from panohead.viewer.jobs import JobRunner
from panohead.viewer.render_queue import RenderQueue


@dataclass(eq=False)
class Shared:
    """State of the whole viewer.

    Attributes:
        heads: heads by choice.
        queue: renders for all tabs.
        exports, reconstructions: long work.
        first_head: head that new tabs show.
        library: folder of reconstructions that tabs may add to; None for none.
        checkpoint: name of the checkpoint, noted in what is saved.
    """

    heads: HeadShelf
    queue: RenderQueue[ViewRequest]
    exports: JobRunner
    reconstructions: JobRunner
    first_head: HeadChoice
    library: Path | None
    checkpoint: str

    @property
    def generator(self) -> Generator:
        """The generator, before any tuning."""
        return self.heads.predictor.generator

    def leave(self, tab: Hashable) -> None:
        """Forget a tab: nothing is made for it any more."""
        self.queue.leave(tab)
        for runner in (self.exports, self.reconstructions):
            runner.leave(tab)
        self.heads.leave(tab)

    def stop(self, timeout_s: float = 1.0) -> bool:
        """End all threads; return True once they have ended, or False after a time."""
        parts = self.queue, self.exports, self.reconstructions
        for part in parts:  # all at once: each may be in the middle of a step
            part.stop(0.0)
        end = time.monotonic() + timeout_s
        ended = [part.stop(max(0.0, end - time.monotonic())) for part in parts]
        return all(ended)
