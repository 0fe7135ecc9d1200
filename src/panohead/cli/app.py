"""``panohead app``: a web form for others, photo in, turning head and mesh out."""

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from panohead.cli.common import Model, changed_options
from panohead.cli.running.common_options import Common, CommonOptions
from panohead.cli.running.messages import answer, say
from panohead.errors import UsageError
from panohead.limits import NumberRange

_PORTS = NumberRange(0, 65_535)
_VISITORS = NumberRange(1, 1000)


@dataclass(kw_only=True)
class App(Model):
    """A web form on this machine: photo in, turning head and GLB out. Visitors wait in a queue. Ctrl-C ends it."""

    host: str = "127.0.0.1"
    """Address to listen on; any but this machine's own needs --token."""
    port: Annotated[int, _PORTS] = 7860
    """Port to listen on; 0 for a free one from 7860 on."""
    token: str | None = None
    """Password of the visitor "guest": 16 or more letters and digits."""
    queue: Annotated[int, _VISITORS] = 16
    """Visitors that may wait."""
    write_space: Path | None = None
    """Write the files of a Space (app.py, README.md, requirements.txt) to this folder, and stop."""
    common: Common = field(default_factory=CommonOptions)

    def run(self) -> None:
        """Start the form and wait for Ctrl-C."""
        from panohead.app.form import FormSettings, build_form, import_gradio, launch_options
        from panohead.viewer.access import check_access, check_port

        if self.write_space is not None:
            of_form = changed_options(self, "host", "port", "token", "queue")
            if of_form:
                raise UsageError(f"{of_form[0]} does nothing with --write-space, which starts no form; leave it out")
            self._write_space(self.write_space, import_gradio().__version__)
            return
        check_access(self.host, self.token)
        import_gradio()
        if self.port:
            check_port(self.host, self.port)
        form = build_form(self.load(), FormSettings(queue=self.queue))
        try:
            _, url, _ = form.launch(**launch_options(self.host, self.port, self.token))
            user = "" if self.token is None else " as guest, with the token as password"
            answer(f"open {url}{user} in a browser; Ctrl-C ends the form")
            while True:
                time.sleep(3600)
        except KeyboardInterrupt:
            say("the form has ended")
        finally:
            form.close(verbose=False)

    def _write_space(self, folder: Path, gradio_version: str) -> None:
        from panohead.app.space import write_space
        from panohead.hub import is_hub_name

        if not is_hub_name(self.checkpoint) and Path(self.checkpoint).exists():
            raise UsageError(
                f"--checkpoint {self.checkpoint} is a file of this machine, which a Space does not have; upload it "
                "with push_to_hub and give hf://user/model"
            )
        for path in write_space(folder, self.checkpoint, gradio_version):
            answer(f"wrote {path}")
