"""``panohead view``: heads in a browser, to turn, change, save and reconstruct."""

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from panohead.cli.common import Model
from panohead.cli.running.common_options import Common, CommonOptions
from panohead.cli.running.messages import answer, say
from panohead.limits import NumberRange

_PORTS = NumberRange(0, 65_535)


@dataclass(kw_only=True)
class View(Model):
    """Heads in a browser on this machine: turn, change, save and reconstruct them. Ctrl-C ends it."""

    head: Path | None = None
    """Folder of 'panohead reconstruct' whose head is shown first (made with the same checkpoint)."""
    library: Path | None = None
    """Folder whose subfolders are reconstructions to choose from; visitors may add theirs."""
    host: str = "127.0.0.1"
    """Address to listen on; any but this machine's own needs --token."""
    port: Annotated[int, _PORTS] = 8080
    """Port to listen on; 0 for any free one."""
    token: str | None = None
    """16 or more letters and digits that the first address must carry."""
    common: Common = field(default_factory=CommonOptions)

    def run(self) -> None:
        """Start the viewer and wait for Ctrl-C."""
        from panohead.viewer.access import check_access
        from panohead.viewer.guarded_server import import_viser
        from panohead.viewer.head_viewer import HeadViewer

        check_access(self.host, self.token)
        import_viser()
        predictor = self.load()
        viewer = HeadViewer(
            predictor, head=self.head, library=self.library, host=self.host, port=self.port, token=self.token
        )
        # Around all of it: Ctrl-C may come as soon as the address is read.
        try:
            with viewer:
                answer(f"open {viewer.url} in a browser; Ctrl-C ends the viewer")
                while True:
                    time.sleep(3600)
        except KeyboardInterrupt:
            say("the viewer has ended")
