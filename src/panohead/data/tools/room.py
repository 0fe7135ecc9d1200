"""Room for the copy of a dataset in its folder."""

import os
import re
from collections.abc import Sequence
from pathlib import Path

from panohead.data.shards import shard_paths
from panohead.errors import PanoHeadError
from panohead.files.earlier_results import SETTINGS_FILE, command_of, remove_earlier_results

OWN_SHARDS = r"photos-\d{6}-of-\d{6}\.tar"
"""Pattern of the names of the shards that :mod:`panohead.data.tools.write_shards` writes."""
_LAYOUTS = ("images", "masks", "images.zip", "masks.zip")


def make_room(out: Path, *, overwrite: bool, inputs: Sequence[Path]) -> None:
    """Refuse a folder that holds a dataset in any layout; or remove it, if an earlier conversion wrote it.

    Args:
        out: folder of the copy.
        overwrite: remove an earlier copy.
        inputs: images and masks that are copied.

    Raises:
        PanoHeadError: when the folder holds a dataset that may not be removed.
    """
    for path in inputs:
        if path.is_dir() and Path(os.path.realpath(path)) in Path(os.path.realpath(out)).parents:
            raise PanoHeadError(f"{out} lies in {path}, where its images would join the dataset; give another folder")
    shards = [path.relative_to(out).as_posix() for path in shard_paths(out)]
    held = [name for name in _LAYOUTS if (out / name).exists()] + shards
    if not held:
        return
    if not overwrite:
        raise PanoHeadError(
            f"{out} holds a dataset already ({held[0]}); give another folder, or --overwrite to remove what an earlier "
            "conversion wrote"
        )
    if command_of(out) != "dataset convert" or not all(re.fullmatch(OWN_SHARDS, name) for name in shards):
        raise PanoHeadError(
            f"{out} holds a dataset that no panohead dataset convert finished ({held[0]}), so --overwrite does not "
            "remove it; give another folder or remove it yourself"
        )
    if any(path.exists() and path.samefile(out) for path in inputs):
        raise PanoHeadError(f"{out} is the dataset that is copied; give another folder")
    remove_earlier_results(out, [*held, SETTINGS_FILE], inputs)
