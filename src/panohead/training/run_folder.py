"""A run lives in a folder.

``config.json`` (the resolved configuration, the dataset and the versions), ``stats.jsonl`` (a line a tick), ``states/``
(to resume exactly), ``snapshots/`` (weights to use, pictures to look at) and ``report.html`` (to read).
"""

import json
import platform
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from panohead.config_json import from_plain
from panohead.errors import PanoHeadError
from panohead.media.atomic import atomic_path
from panohead.training.config import TrainConfig

CONFIG_FILE = "config.json"


def start_run(run: Path, config: TrainConfig, data: Path) -> None:
    """Make the folder and write what the run is.

    Raises:
        PanoHeadError: when the folder holds a run already, or cannot be written.
    """
    file = run / CONFIG_FILE
    if file.exists():
        raise PanoHeadError(f"{run} holds a run already; continue it with --resume {run} or choose another --out")
    described = {
        "training": asdict(config),
        "data": str(data.resolve()),
        "versions": {"python": platform.python_version(), "torch": torch.__version__},
    }
    with atomic_path(file) as temporary:
        temporary.write_text(json.dumps(described, indent=1))


def read_run(run: Path) -> tuple[TrainConfig, Path]:
    """The configuration and the dataset of a run.

    Raises:
        PanoHeadError: when the folder holds no run, or one of another version.
    """
    file = run / CONFIG_FILE
    if not file.is_file():
        raise PanoHeadError(
            f"{run} holds no run ({CONFIG_FILE} is missing); give the folder of one, or start with --out"
        )
    try:
        described: dict[str, Any] = json.loads(file.read_text())
        return from_plain(TrainConfig, described["training"]), Path(described["data"])
    except (ValueError, KeyError, TypeError) as error:
        raise PanoHeadError(f"{file} does not fit this version of PanoHead ({error}); start a new run") from error
