"""``panohead completion``: the script by which a shell completes commands, options and their values."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

import tyro

from panohead.cli.running.common_options import Common, CommonOptions
from panohead.cli.running.messages import answer

_USE = {
    "bash": "panohead completion bash > ~/.local/share/bash-completion/completions/panohead",
    "zsh": "panohead completion zsh > ~/.zfunc/_panohead   (with ~/.zfunc in fpath before compinit)",
    "fish": "panohead completion fish > ~/.config/fish/completions/panohead.fish",
}


@dataclass(kw_only=True)
class Completion:
    """Print the script by which a shell completes commands, options and choices; its first line says where it goes."""

    shell: Annotated[Literal["bash", "zsh", "fish"], tyro.conf.Positional]
    """The shell."""
    common: Common = field(default_factory=CommonOptions)

    def run(self) -> None:
        """Print the script."""
        from panohead.cli.main import Command
        from panohead.cli.running.parsing import completion_script

        script = completion_script(Command, self.shell)
        # zsh knows its completion files by their first line.
        first, rest = script.split("\n", 1) if script.startswith("#compdef") else ("", script)
        answer(f"{first}\n# {_USE[self.shell]}\n{rest.rstrip()}".lstrip("\n"))
