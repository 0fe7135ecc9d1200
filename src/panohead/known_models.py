"""Known checkpoints: those in the package, and official ones by name, license and place. Nothing is downloaded.

A hash of an official file stands here only where it is known from the owners or from a file that they published; for
none it is today, so a file is recognized by its name alone, and :func:`recognized` says so.
"""

import hashlib
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Literal

from panohead.errors import PanoHeadError
from panohead.files.regular import MAX_WEIGHTS_BYTES, open_regular, read_text

BUNDLED = ("demo",)
"""Names of the models in the package."""


@dataclass(frozen=True)
class KnownModel:
    """A checkpoint that is known by name.

    Attributes:
        name: of a bundled one what ``load`` takes; of an official one the name of its file.
        kind: bundled: in the package; official: published by the authors of the method.
        about: what it makes, one line.
        license: under which its weights may be used, as far as the owners say.
        published: where the owners publish it.
        sha256: of the whole file; None where it is not known.
    """

    name: str
    kind: Literal["bundled", "official"]
    about: str
    license: str
    published: str
    sha256: str | None = None

    @property
    def use(self) -> str:
        """The command that makes heads of it."""
        if self.kind == "bundled":
            return f"panohead generate --checkpoint {self.name} --out heads"
        return f"panohead import-official {self.name} --out {Path(self.name).stem}.safetensors"


_OFFICIAL_LICENSE = (
    "non-commercial: the repository's license file is CC BY-NC-SA 4.0 (its README has a badge of CC BY 4.0), and "
    "NVIDIA's license of EG3D binds derivatives; read both before use"
)
_OFFICIAL_PLACE = "a Google Drive folder linked from the README of the authors' repository, SizheAn/PanoHead on GitHub"


def known_models() -> list[KnownModel]:
    """Return all known models, bundled ones first; the hashes of these are those of the files in this installation."""
    bundled = [
        KnownModel(
            name,
            "bundled",
            "whole heads of people who do not exist, 128 pixels, trained on synthetic people only",
            "Apache-2.0, as the package; no photograph of anybody is in the data",
            "in the package",
            file_sha256(bundled_file(name)),
        )
        for name in BUNDLED
    ]
    official = [
        KnownModel(
            "easy-khair-180-gpc0.8-trans10-025000.pkl",
            "official",
            "PanoHead, 512 pixels, tri-grid of 3 slices, trained by its authors on FFHQ-F (photos from all sides)",
            _OFFICIAL_LICENSE,
            _OFFICIAL_PLACE,
        ),
        KnownModel(
            "ablation-trigridD-1-025000.pkl",
            "official",
            "PanoHead's ablation with one slice a plane (EG3D's tri-plane), 512 pixels",
            _OFFICIAL_LICENSE,
            _OFFICIAL_PLACE,
        ),
    ]
    return [*bundled, *official]


def bundled_encoder_file(name: str) -> Path | None:
    """Return the path of a bundled model's photo encoder, a file of its own; None where it has none."""
    path = bundled_file(name)
    path = path.with_name(f"{path.stem}_encoder{path.suffix}")
    return path if path.is_file() else None


def bundled_file(name: str) -> Path:
    """Return the file of a bundled model."""
    return Path(str(resources.files("panohead") / "assets" / f"{name}.safetensors"))


def bundled_card(name: str) -> str:
    """Return the card of a bundled model, Markdown."""
    return read_text(Path(str(resources.files("panohead") / "assets" / f"{name}.md")))


def known_model(name: str) -> KnownModel:
    """Return a known model by its name.

    Raises:
        PanoHeadError: when none has it.
    """
    models = known_models()
    found = next((model for model in models if model.name == name), None)
    if found is None:
        names = ", ".join(model.name for model in models)
        raise PanoHeadError(f"{name} is neither a file nor a known model; known are {names}")
    return found


def recognized(path: Path) -> tuple[str, KnownModel | None, bool]:
    """Say which known model a file is.

    Returns:
        The SHA-256 of the file, the model with this hash or else with this name, and True if the hash says so.

    Raises:
        PanoHeadError: when it cannot be read.
    """
    digest = file_sha256(path)
    models = known_models()
    by_hash = next((model for model in models if model.sha256 == digest), None)
    if by_hash is not None:
        return digest, by_hash, True
    return digest, next((model for model in models if model.name == path.name), None), False


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file's content.

    Raises:
        PanoHeadError: when it cannot be read.
    """
    try:
        with open_regular(path, MAX_WEIGHTS_BYTES) as file:
            digest = hashlib.sha256()
            while part := file.read(1 << 20):
                digest.update(part)
            return digest.hexdigest()
    except OSError as error:
        raise PanoHeadError(f"cannot read {path} ({error.strerror or error}); check the path") from error
