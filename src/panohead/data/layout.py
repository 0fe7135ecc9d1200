"""Layouts of a dataset: folders, zip archives or WebDataset shards."""

from pathlib import Path

from panohead.data.shards import open_shards, shard_paths
from panohead.data.sources import FileSource, open_source
from panohead.errors import PanoHeadError, UsageError


def dataset_paths(root: Path) -> tuple[Path, Path]:
    """Return the paths of images and masks in the folder of a dataset: ``images`` and ``masks``, folders or zips.

    Raises:
        PanoHeadError: when one of them is missing.
    """
    images, masks = _beside(root, "images"), _beside(root, "masks")
    if images is None or masks is None:
        raise PanoHeadError(f"{root} must hold images/ and masks/ (or images.zip and masks.zip); give such a folder")
    return images, masks


def open_layout(root: str | Path, masks: str | Path | None = None) -> tuple[FileSource, FileSource]:
    """Open the images (with ``dataset.json``) and the masks of a dataset.

    Args:
        root: a folder with ``images`` and ``masks`` (folders or zips), or with ``*.tar`` or ``shards/*.tar``; or one
            ``.tar``. Where there are images and shards, the images are taken.
        masks: folder or zip of the masks; then ``root`` is the folder or zip of the images themselves.

    Raises:
        UsageError: for what is no path.
        PanoHeadError: when there is no dataset, or its shards are damaged.
    """
    for path in (root, Path() if masks is None else masks):
        if not isinstance(path, str | Path):
            raise UsageError(f"a dataset is named by a path, not by a value of type {type(path).__name__}; give one")
    root = Path(root)
    if masks is not None:
        return open_source(root), open_source(Path(masks))
    if not root.exists():
        raise PanoHeadError(f"{root} does not exist; give the folder of a dataset")
    images, beside = _beside(root, "images"), _beside(root, "masks")
    if images is not None and beside is not None:
        return open_source(images), open_source(beside)
    if shard_paths(root):
        return open_shards(root)
    raise PanoHeadError(
        f"{root} must hold images/ and masks/ (or images.zip and masks.zip) or .tar shards; give such a folder, "
        "or say where the masks are"
    )


def _beside(root: Path, name: str) -> Path | None:
    return next((path for path in (root / name, root / f"{name}.zip") if path.exists()), None)
