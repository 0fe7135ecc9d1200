"""Checkpoints on a hub: ``hf://user/model@revision``, and folders that ``save_pretrained`` wrote.

Only ``.safetensors`` files of this package's format are read, so nothing of a repository is ever executed. A download
happens when a name begins with ``hf://`` or is given to ``from_pretrained``, and never otherwise; Hugging Face's own
cache and ``HF_HUB_OFFLINE`` apply.
"""

import importlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from panohead.checkpoint import SUFFIX, Checkpoint
from panohead.errors import PanoHeadError, UsageError
from panohead.files.regular import path_of

PREFIX = "hf://"
MODEL_FILE = f"model{SUFFIX}"
"""Name of the checkpoint in a repository and in a folder of ``save_pretrained``."""
CARD_FILE = "README.md"

_NAME = re.compile(
    r"(?P<repository>[\w-][\w.-]*/[\w-][\w.-]*)(?:@(?P<revision>[\w.-]+(?:/[\w.-]+)*?))?(?:/(?P<file>[\w./-]+))?"
)


@dataclass(frozen=True)
class HubName:
    """File of a repository.

    Attributes:
        repository: "user/model".
        revision: branch, tag or commit; None for the newest of the main branch.
        file: path of the checkpoint in the repository.
    """

    repository: str
    revision: str | None = None
    file: str = MODEL_FILE

    def __str__(self) -> str:
        revision = "" if self.revision is None else f"@{self.revision}"
        return f"{PREFIX}{self.repository}{revision}" + ("" if self.file == MODEL_FILE else f"/{self.file}")


def is_hub_name(name: str | Path) -> bool:
    """Return True for text that begins with ``hf://``."""
    return isinstance(name, str) and name.startswith(PREFIX)


def parse_hub_name(name: str, revision: str | None = None) -> HubName:
    """Parse ``user/model``, ``user/model@revision`` or ``user/model@revision/file.safetensors``; a prefix may be there.

    Args:
        revision: revision where the name has none.

    Raises:
        UsageError: for anything else, two different revisions, or a file that is no safetensors file.
    """
    found = _NAME.fullmatch(name.removeprefix(PREFIX)) if isinstance(name, str) else None
    if found is None or ".." in name:
        raise UsageError(f"{name!r} is no name on a hub; give hf://user/model or hf://user/model@revision")
    given = found["revision"]
    if given and revision and given != revision:
        raise UsageError(f"{name!r} and the revision {revision!r} differ; give one")
    file = found["file"] or MODEL_FILE
    if not file.endswith(SUFFIX):
        raise UsageError(f"{name!r} names {file}, which is no {SUFFIX} file; only those are read from a hub")
    return HubName(found["repository"], given or revision, file)


def hub_file(name: HubName) -> Path:
    """Return the local copy of a file, downloaded into Hugging Face's cache unless it is there already.

    Raises:
        PanoHeadError: when the package is missing, there is no such file, or it cannot be fetched.
    """
    library = _library()
    try:
        return Path(library.hf_hub_download(name.repository, name.file, revision=name.revision))
    except Exception as error:  # the library's and its HTTP client's own types, OSErrors and ValueErrors
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise PanoHeadError(
            f"{name} cannot be fetched ({reason}); check the name, the connection and HF_HUB_OFFLINE"
        ) from error


def pretrained_file(name_or_folder: str | Path, revision: str | None = None) -> Path:
    """Return the checkpoint of a folder that ``save_pretrained`` wrote, or of a repository on the hub.

    Args:
        name_or_folder: a folder, or "user/model".
        revision: branch, tag or commit of the repository; a commit is the same for ever.

    Raises:
        UsageError: for what is neither, or a revision of a folder.
        PanoHeadError: when the folder has no checkpoint, or the file cannot be fetched.
    """
    folder = path_of(name_or_folder)
    if not is_hub_name(name_or_folder) and folder.is_dir():
        if revision is not None:
            raise UsageError(f"{folder} is a folder, which has no revisions; leave the revision out")
        if not (folder / MODEL_FILE).is_file():
            raise PanoHeadError(f"{folder} holds no {MODEL_FILE}; give a folder that save_pretrained wrote")
        return folder / MODEL_FILE
    return hub_file(parse_hub_name(str(name_or_folder), revision))


def push_folder(folder: Path, repository: str, *, private: bool, message: str) -> str:
    """Upload a folder to a repository, which is made if it is missing; returns the URL of the commit.

    Raises:
        UsageError: for a name that is none.
        PanoHeadError: when the package is missing, nobody is logged in, or the upload fails.
    """
    name = parse_hub_name(repository)
    library = _library()
    try:
        library.create_repo(name.repository, private=private, exist_ok=True)
        done = library.upload_folder(
            repo_id=name.repository, folder_path=str(folder), commit_message=message, revision=name.revision
        )
    except Exception as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise PanoHeadError(
            f"{repository} cannot be uploaded ({reason}); log in with 'hf auth login' and check the name"
        ) from error
    return str(getattr(done, "commit_url", done))


def model_card(checkpoint: Checkpoint) -> str:
    """Return the text of a repository's page (Markdown with Hugging Face's header) from what the checkpoint knows."""
    generator = checkpoint.generator()
    config = generator.config
    side = config.superresolution.output_resolution
    numbers = sum(p.numel() for p in generator.parameters())
    rows: dict[str, Any] = {
        "image": f"{side} x {side} pixels from {config.neural_rendering_resolution} squared rays",
        "parameters of the generator": f"{numbers:,}",
        "networks in the file": ", ".join(sorted(checkpoint.networks)),
        "trained images": "not recorded" if checkpoint.kimg is None else f"{checkpoint.kimg:g} thousand",
        "SHA-256 of weights and configuration": checkpoint.sha256 or "not recorded",
        **{key.replace("_", " "): value for key, value in checkpoint.notes.items() if _is_short(value)},
    }
    return (
        "---\nlibrary_name: panohead\npipeline_tag: image-to-3d\ntags:\n- 3d\n- gan\n- heads\n---\n\n"
        "# Whole 3D heads (PanoHead)\n\n"
        "A generator of whole human heads, to be rendered from every side, by the `panohead` package. Its images show "
        "people who do not exist and carry a mark that says so; do not present them as photos of real people.\n\n"
        f"{_table(rows)}\n{_measured(checkpoint.notes)}"
        "```python\nfrom panohead import Camera, Predictor\n\n"
        'head = Predictor.from_pretrained("USER/MODEL").sample(seed=0)\n'
        'head.render(Camera.orbit(yaw_deg=30)).save("head.png")\n```\n\n'
        f"## Limits\n\n{_limits(side, checkpoint.kimg)}\n\n"
        "Say here under which license the weights may be used, and who is in the photos that they were learned from: a "
        "file does not know.\n"
    )


def _table(rows: Mapping[str, Any]) -> str:
    return "| | |\n|---|---|\n" + "".join(f"| {key} | {_cell(value)} |\n" for key, value in rows.items())


def _measured(notes: Mapping[str, Any]) -> str:
    """Return a section of what the run has measured of the model; empty where it has measured nothing."""
    figures = notes.get("figures")
    if not isinstance(figures, dict) or not isinstance(figures.get("sliced_wasserstein"), int | float):
        return ""
    low, high = (figures.get(f"sliced_wasserstein_{end}") for end in ("low", "high"))
    interval = f" [{low:.3f}-{high:.3f}]" if isinstance(low, int | float) and isinstance(high, int | float) else ""
    distance = f"{figures['sliced_wasserstein']:.3f}{interval}"
    return (
        "## Figures\n\n| measured by the run, at its last snapshot | |\n|---|---|\n"
        f"| sliced Wasserstein distance to the photos, 95 % interval (0 is equal) | {distance} |\n\n"
    )


def _limits(side: int, kimg: float | None) -> str:
    shown = "" if kimg is None else f" It was trained on {kimg:g} thousand images; the paper's models on 25,000."
    return (
        f"Images have {side} x {side} pixels. Heads look like those of the dataset: what was rare there is bad or "
        f"missing here, and what no photo showed (often the back) is invented.{shown}"
    )


def _is_short(value: Any) -> bool:
    return isinstance(value, str | int | float | bool) and len(str(value)) <= 300


def _cell(value: Any) -> str:
    return " ".join(str(value).split()).replace("|", "\\|").replace("<", "&lt;")


def _library() -> ModuleType:
    try:
        return importlib.import_module("huggingface_hub")
    except ImportError as error:
        raise PanoHeadError(
            "models on a hub need the package huggingface_hub; run: pip install 'panohead[hub]'"
        ) from error
