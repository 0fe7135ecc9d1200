"""Hashes of all files in a folder, by which tests see what a run changed."""

import hashlib
from pathlib import Path


def folder_digest(folder: Path) -> dict[str, str]:
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}
