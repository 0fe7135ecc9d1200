"""The head that came of photos: a head like any other that also knows its photos."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import torch
import trimesh
from jaxtyping import Float
from safetensors import SafetensorError, safe_open
from torch import Tensor

from panohead.checkpoint import weights_sha256
from panohead.errors import PanoHeadError
from panohead.frame import Frame
from panohead.geometry import Camera
from panohead.head import Head
from panohead.inversion.optimization_log import OptimizationLog
from panohead.inversion.photo import AlignedPhoto
from panohead.inversion.visibility import seen_points
from panohead.inversion.weight_delta import load_difference, save_difference
from panohead.mesh.export import METERS_PER_WORLD_UNIT
from panohead.models.generator import Generator
from panohead.system.atomic_write import atomic_path

LATENT_FILE = "latent.npz"
TUNED_FILE = "tuned.difference.safetensors"


@dataclass(frozen=True)
class InversionResult:
    """What search and tuning end with.

    Attributes:
        generator: tuned.
        ws_background: of every photo's own background; None where there is only the head's.
    """

    generator: Generator
    ws: Float[Tensor, "1 num_ws w_dim"]
    cameras: list[Camera]
    ws_background: Float[Tensor, "photo num_ws w_dim"] | None


class ReconstructedHead(Head):
    """A head with the photos it was made from.

    Attributes:
        untuned: the generator before tuning (``generator`` is the tuned one).
        photos: as they were compared.
        cameras: found for the photos, without batch dimension.
        ws_background: of every photo's own background; None where there is only the head's.
        journal: what happened, step by step.
    """

    def __init__(
        self, found: InversionResult, *, untuned: Generator, photos: Sequence[AlignedPhoto], log: OptimizationLog
    ) -> None:
        super().__init__(found.generator, found.ws)
        self.untuned = untuned
        self.photos = photos
        self.cameras = found.cameras
        self.ws_background = found.ws_background
        self.log = log

    @cached_property
    def input_views(self) -> list[Frame]:
        """The reconstruction as the photos' cameras see it."""
        views = []
        for i, camera in enumerate(self.cameras):
            own = None if self.ws_background is None else Head(self.generator, self.ws_background[i : i + 1])
            views.append(self.render(camera, background=own))
        return views

    def mesh(self, resolution: int = 256, **options: Any) -> trimesh.Trimesh:
        """As :meth:`Head.mesh`; the vertex attribute ``seen`` says how well the photos saw a vertex, 0 (invented) to 1.

        Raises:
            PanoHeadError: when there is no surface at this level.
        """
        mesh = super().mesh(resolution, **options)
        scale = METERS_PER_WORLD_UNIT if options.get("unit", "metre") == "metre" else 1.0
        points = torch.from_numpy(np.array(mesh.vertices, np.float32) / scale)
        normals = torch.from_numpy(np.array(mesh.vertex_normals, np.float32))
        seen = seen_points(points, self.input_views, normals).cpu().numpy()
        mesh.vertex_attributes["seen"] = seen.astype(np.float32)
        mesh.metadata["seen_share"] = float((seen > 0).mean())
        return mesh

    def save(self, folder: Path, **notes: Any) -> list[Path]:
        """Write ``latent.npz`` (ws, labels, backgrounds) and the tuned generator as a small difference; atomic.

        Args:
            folder: there already.
            notes: kept in the difference file.
        """
        arrays = {
            "ws": self.ws.cpu().numpy(),
            "labels": torch.stack([c.to_label() for c in self.cameras]).detach().cpu().numpy(),
            "base": np.array(weights_sha256(self.untuned)),
        }
        if self.ws_background is not None:
            arrays["ws_background"] = self.ws_background.cpu().numpy()
        latent = folder / LATENT_FILE
        with atomic_path(latent) as temporary, temporary.open("wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]
        return [latent, save_difference(folder / TUNED_FILE, self.untuned, self.generator, notes=notes)]


def saved_notes(folder: Path) -> dict[str, Any] | None:
    """The notes of a head that was saved in a folder; None where there is none (or it cannot be read)."""
    try:
        with safe_open(folder / TUNED_FILE, framework="pt", device="cpu") as file:
            notes = json.loads((file.metadata() or {})["notes"])
    except (OSError, SafetensorError, KeyError, ValueError):
        return None
    return notes if isinstance(notes, dict) else None


def open_reconstruction(folder: Path, generator: Generator) -> Head:
    """The head that ``panohead reconstruct`` wrote to a folder, with the generator it was made from.

    Raises:
        PanoHeadError: when the files are missing or belong to another generator.
    """
    latent = folder / LATENT_FILE
    try:
        with latent.open("rb") as file, np.load(file) as stored:
            ws = torch.from_numpy(stored["ws"])
    except (OSError, KeyError, ValueError, EOFError, BadZipFile) as error:
        raise PanoHeadError(f"{latent} is not a readable latent; run 'panohead reconstruct' again") from error
    return Head(load_difference(folder / TUNED_FILE, generator), ws.to(next(generator.parameters()).device))
