"""Two processes on one folder: one does the work, the other is refused at once and spoils nothing."""

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from hostile.kills import COMMANDS, digest, make_inputs
from hostile.runner import Case, CommandServer

REFUSAL = "another process"
"""Words of the sentence of the one that is refused."""


def trial_of_two(
    servers: tuple[CommandServer, CommandServer], name: str, folder: Path, whole: dict[str, str]
) -> tuple[tuple[str, ...], str]:
    """Start a command twice on one folder.

    Args:
        servers: two servers, which run at the same time.
        name: command of :data:`~hostile.kills.COMMANDS`.
        folder: working folder; it is emptied first.
        whole: digest of what the command makes alone.

    Returns:
        Faults, and what was said about them.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    make_inputs(name, folder)
    case = Case(f"two of {name}", 0, COMMANDS[name].argv, folder, programs=("python",), patient=True)
    with ThreadPoolExecutor(2) as pool:
        outcomes = sorted(pool.map(lambda server: server.run(case), servers), key=lambda outcome: outcome.code)
    said = "\n".join(outcome.stderr[-800:] for outcome in outcomes)
    faults = [fault for outcome in outcomes for fault in outcome.faults]
    if [outcome.code for outcome in outcomes] != [0, 1] or REFUSAL not in outcomes[1].stderr:
        faults.append("wrong code")
    elif digest(name, folder / "out") != whole:
        faults.append("other bytes")
    return tuple(dict.fromkeys(faults)), said if faults else ""
