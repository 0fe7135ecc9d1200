"""Worker process: reads the numbers of people from standard input, renders them, answers one JSON line each.

A separate process rather than a fork: it loads nothing but numpy, and it ends by itself when the parent is gone.
"""

import json
import os
import pickle
import sys

from panohead.errors import PanoHeadError


def main() -> None:
    """Serve until the input ends. The first line is the pickled (config, image options), as hexadecimal."""
    # Imported here so that the heavy modules load after the settings have come.
    from panohead.synthetic.person_images import make_person

    # Bytes of the parent process.
    config, image_options = pickle.loads(bytes.fromhex(sys.stdin.readline()))  # nosec B301
    for line in sys.stdin:
        index = int(line)
        try:
            make_person(config, index, image_options)
            answer: dict[str, int | str] = {"person": index}
        except PanoHeadError as error:
            answer = {"person": index, "error": str(error)}
        try:
            print(json.dumps(answer), flush=True)
        except BrokenPipeError:  # the parent is gone
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            return
