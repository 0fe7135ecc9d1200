"""Cameras of aligned crops from a ``dataset.json`` of any name."""

from collections.abc import Sequence
from pathlib import Path

import torch

from panohead.data.labels import read_labels
from panohead.data.sources import FolderSource
from panohead.geometry import Camera


class _OneFile(FolderSource):
    """Whatever is asked for, the one file answers."""

    def has(self, name: str) -> bool:
        """Whether the file is there."""
        return self.path.is_file()

    def read(self, name: str) -> bytes:
        """Its content."""
        return self.path.read_bytes()

    def describe(self, name: str) -> str:
        """Its path."""
        return str(self.path)


def read_cameras(path: Path, photos: Sequence[Path]) -> list[Camera]:
    """The cameras of photos by their file names.

    Raises:
        PanoHeadError: when the file or a label is missing or wrong.
    """
    labels = read_labels(_OneFile(path), [photo.name for photo in photos])
    return [Camera.from_label(torch.from_numpy(label)) for label in labels]
