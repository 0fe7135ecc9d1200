"""Description of the software and hardware of a run, for its record."""

import os
import platform
import shlex
import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch

from panohead.media.provenance import software

ENVIRONMENT_NAME = "environment.json"


def environment() -> dict[str, str | int]:
    """Return command, versions and device as JSON values."""
    found: dict[str, str | int] = {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "package": software(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "system": f"{platform.system()} {platform.machine()}",
        "processors": os.cpu_count() or 1,
        "torch_threads": torch.get_num_threads(),
        "processes": int(os.environ.get("WORLD_SIZE", "1")),
    }
    if torch.cuda.is_available():
        device = torch.cuda.get_device_properties(torch.cuda.current_device())
        found["device"] = f"{device.name}, {device.total_memory / 2**30:.0f} GiB"
        found["cuda"] = str(torch.version.cuda)
        found["cudnn"] = str(torch.backends.cudnn.version())
    else:
        found["device"] = (
            "MPS" if torch.backends.mps.is_available() else f"CPU {torch.backends.cpu.get_cpu_capability()}"
        )
    return found
