"""The folder of a training run and its description.

``config.json`` holds the resolved configuration, the dataset and the versions; ``stats.jsonl`` a line per tick;
``states/`` resumable states; ``snapshots/`` weights and grids of images; ``report.html`` the report.
"""

import json
import platform
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NotRequired, TypedDict

import torch

from panohead.errors import PanoHeadError
from panohead.files.earlier_results import remove_earlier_results
from panohead.files.read_json import from_plain, read_json
from panohead.system.atomic_write import atomic_path
from panohead.training.config import TrainConfig

CONFIG_FILE = "config.json"
RUN_FOLDERS = ("states", "snapshots", "warm_start", "tensorboard")
RUN_FILES = (
    *RUN_FOLDERS, "report.html", "stats.jsonl", "notes.jsonl", "environment.json", "settings.json",
)  # fmt: skip
"""Everything but its description that a run writes into its folder."""


@dataclass(frozen=True)
class RunDescription:
    """Description of a run.

    Attributes:
        config: resolved configuration.
        data: folder of the dataset.
        initial: checkpoint that the run started from, if any.
        labels_sha256: hash of the labels of its photos
            (:meth:`panohead.data.dataset.PhotoDataset.labels_sha256`); None in runs of the first versions.
        masks: folder or zip of the masks, if they are not beside the images; ``data`` is then the images themselves.
        command: command line that began the run, names of files without their folders; None for none.
    """

    config: TrainConfig
    data: Path
    initial: Path | None = None
    labels_sha256: str | None = None
    masks: Path | None = None
    command: str | None = None

    def notes(self) -> dict[str, Any]:
        """Return what checkpoints of the run say about where they come from: names, no folders of this machine."""
        found: dict[str, Any] = {"command": self.command, "dataset": self.data.name}
        found |= {"dataset_labels_sha256": self.labels_sha256, "initial": self.initial and self.initial.name}
        return {name: value for name, value in found.items() if value is not None}


def start_run(run: Path, description: RunDescription, *, overwrite: bool = False) -> None:
    """Create the folder of a run and write its description.

    Args:
        overwrite: remove the run that the folder holds; not one whose weights or dataset are those of the new run.

    Raises:
        PanoHeadError: when the folder already holds a run, or cannot be written.
    """
    if (run / CONFIG_FILE).exists():
        if not overwrite:
            raise PanoHeadError(
                f"{run} holds a run already; resume it with --resume {run}, choose another --out, or give --overwrite "
                "to remove it and start again"
            )
        inputs = (description.data, description.initial, description.masks)
        remove_earlier_results(run, RUN_FILES, [path for path in inputs if path is not None])
    write_run(run, description)


def write_run(run: Path, description: RunDescription) -> None:
    """Write the description of a run, also when its length or the folder of its dataset has changed."""
    initial = description.initial
    described: dict[str, Any] = {
        "training": asdict(description.config),
        "data": str(description.data.resolve()),
        "initial": str(initial.resolve()) if initial is not None else None,
        "labels_sha256": description.labels_sha256,
        "versions": {"python": platform.python_version(), "torch": torch.__version__},
    }
    if description.masks is not None:
        described["masks"] = str(description.masks.resolve())
    if description.command is not None:
        described["command"] = description.command
    with atomic_path(run / CONFIG_FILE) as temporary:
        temporary.write_text(json.dumps(described, indent=1))


def read_run(run: Path) -> RunDescription:
    """Read the description of the run in a folder.

    Raises:
        PanoHeadError: when the folder holds no run, or one of another version.
    """
    file = run / CONFIG_FILE
    if not file.is_file():
        raise PanoHeadError(
            f"{run} holds no run ({CONFIG_FILE} is missing); give the folder of one, or start with --out"
        )
    described = read_json(file, _RunFile, remedy=_REMEDY)
    initial, masks = described.get("initial"), described.get("masks")
    try:
        config = from_plain(TrainConfig, described["training"]).checked()
    except (ValueError, PanoHeadError) as error:
        raise PanoHeadError(f"{file} does not fit this version of PanoHead ({error}); {_REMEDY}") from error
    return RunDescription(
        config,
        Path(described["data"]),
        Path(initial) if initial is not None else None,
        described.get("labels_sha256"),
        Path(masks) if masks is not None else None,
        described.get("command"),
    )


_REMEDY = "start a new run"


class _RunFile(TypedDict):
    training: dict[str, Any]
    data: str
    initial: NotRequired[str | None]
    labels_sha256: NotRequired[str | None]
    masks: NotRequired[str | None]
    command: NotRequired[str | None]
