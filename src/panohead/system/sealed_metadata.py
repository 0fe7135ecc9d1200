"""Metadata of safetensors files under a hash, so that damage and edits are noticed: progress, notes, configuration."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from panohead.errors import PanoHeadError

SEAL = "metadata_sha256"
"""Key of the SHA-256 of all other entries."""


def sealed(metadata: Mapping[str, str]) -> dict[str, str]:
    """Return the metadata with the hash of its entries."""
    return {**metadata, SEAL: _digest(metadata)}


def check_seal(path: Path, metadata: Mapping[str, str], *, required: bool) -> None:
    """Check the hash of a file's metadata.

    Args:
        path: the file, for the error.
        required: refuse metadata without a hash; False for files of versions that wrote none.

    Raises:
        PanoHeadError: when the hash is missing or does not match.
    """
    if SEAL in metadata or required:
        others = {name: value for name, value in metadata.items() if name != SEAL}
        if metadata.get(SEAL) != _digest(others):
            raise PanoHeadError(f"{path} is damaged: its metadata has another hash; copy or download it again")


def _digest(metadata: Mapping[str, str]) -> str:
    return hashlib.sha256(json.dumps(dict(metadata), sort_keys=True).encode()).hexdigest()
