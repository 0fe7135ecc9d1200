"""The folder of ``panohead reconstruct``: which photos its results belong to."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

from panohead.cli.common import output_folder, say
from panohead.errors import PanoHeadError

STATE = "reconstruct.state"
Digests = list[list[str]]
"""Name and SHA-256 of every photo's file."""


def digests(photos: Sequence[Path]) -> Digests:
    """What tells these photos from others.

    Raises:
        PanoHeadError: when one cannot be read.
    """
    found = []
    for photo in photos:
        try:
            found.append([photo.name, hashlib.sha256(photo.read_bytes()).hexdigest()])
        except OSError as error:
            raise PanoHeadError(f"{photo} cannot be read ({error.strerror}); check the path") from error
    return found


def open_folder(path: Path, photos: Digests, *, resume: bool) -> Path:
    """The folder, made if need be; what an earlier run left in it is gone on with, replaced (and said so), or refused.

    Raises:
        PanoHeadError: when it cannot be written to, or holds the head of other photos.
    """
    from panohead.inversion.reconstructed_head import saved_notes
    from panohead.system.atomic_write import prepare_folder

    out = output_folder(path)
    state = out / STATE
    prepare_folder(state)
    notes = saved_notes(out)
    earlier: Digests = [] if notes is None else notes.get("photos", [])
    if earlier and sorted(content for _, content in earlier) != sorted(content for _, content in photos):
        names = ", ".join(name for name, _ in earlier)
        raise PanoHeadError(f"{out} holds the head of other photos ({names}); choose another --out")
    if resume and not state.is_file():
        if notes is not None:
            raise PanoHeadError(f"nothing is unfinished in {out}; leave --resume out to make its head anew")
        say(f"nothing was begun in {out}; starting from the beginning")
    if state.is_file() and not resume:
        say(f"starting anew; what is unfinished in {out} will be replaced (--resume would go on with it)")
    return out
