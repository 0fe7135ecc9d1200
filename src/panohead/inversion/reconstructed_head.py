"""Heads reconstructed from photos: with the photos, their cameras and the log; saved to a folder and opened again."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NotRequired, TypedDict

import numpy as np
import torch
from jaxtyping import Float
from safetensors import SafetensorError, safe_open
from torch import Tensor

from panohead.checkpoint import weights_sha256
from panohead.errors import PanoHeadError
from panohead.files.archive import read_arrays
from panohead.files.read_json import parse_json
from panohead.files.regular import MAX_WEIGHTS_BYTES, check_regular
from panohead.frame import Frame
from panohead.geometry import Camera
from panohead.head import Head
from panohead.inversion.optimization.log import OptimizationLog
from panohead.inversion.photo import AlignedPhoto
from panohead.inversion.visibility import seen_pixels, seen_points
from panohead.inversion.weight_delta import load_difference, save_difference
from panohead.mesh.head_mesh import HeadMesh
from panohead.mesh.trimesh_object import UNITS_PER_WORLD_UNIT, unit_of
from panohead.models.generator import Generator
from panohead.system.atomic_write import atomic_path
from panohead.system.sealed_metadata import check_seal

LATENT_FILE = "latent.npz"
TUNED_FILE = "tuned.difference.safetensors"
_OPAQUE = 0.5


@dataclass(frozen=True)
class InversionResult:
    """Result of search and tuning.

    Attributes:
        generator: tuned copy of the generator; the generator itself if it was not tuned.
        ws: ws of the head.
        cameras: refined cameras of the photos, without batch dimension.
        ws_background: ws of every photo's own background; None if all have the head's.
    """

    generator: Generator
    ws: Float[Tensor, "1 num_ws w_dim"]
    cameras: list[Camera]
    ws_background: Float[Tensor, "photo num_ws w_dim"] | None


class ReconstructedHead(Head):
    """Head with the photos that it was reconstructed from (``generator`` is the tuned one).

    Attributes:
        untuned: generator before tuning.
        photos: aligned photos.
        cameras: refined cameras of the photos, without batch dimension.
        ws_background: ws of every photo's own background; None if all have the head's.
        log: record of the optimization.
    """

    def __init__(
        self, result: InversionResult, *, untuned: Generator, photos: Sequence[AlignedPhoto], log: OptimizationLog
    ) -> None:
        super().__init__(result.generator, result.ws)
        self.untuned = untuned
        self.photos = photos
        self.cameras = result.cameras
        self.ws_background = result.ws_background
        self.log = log

    @cached_property
    def input_views(self) -> list[Frame]:
        """Renderings from the photos' cameras, each with the photo's own background."""
        views = []
        for i, camera in enumerate(self.cameras):
            own = None if self.ws_background is None else Head(self.generator, self.ws_background[i : i + 1])
            views.append(self.render(camera, background=own))
        return views

    @property
    def is_out_of_view(self) -> bool:
        """True where no photo shows any of the head, though it has a surface: its cameras miss it."""
        return not any(map(_any_opaque, self.input_views, (photo.inside for photo in self.photos))) and any(
            _any_opaque(self.render(Camera.orbit(yaw))) for yaw in (0.0, 180.0)
        )

    def mesh(self, resolution: int = 256, **options: Any) -> HeadMesh:
        """Return the mesh of :meth:`Head.mesh`, with the visibility of its vertices in the photos.

        The vertex attribute ``seen`` is that visibility, 0 (invented) to 1; ``metadata["seen_share"]`` is the share of
        vertices where it is not 0.

        Raises:
            PanoHeadError: when there is no surface at this level.
        """
        mesh = super().mesh(resolution, **options)
        scale = UNITS_PER_WORLD_UNIT[unit_of(mesh)]
        points = torch.from_numpy(np.array(mesh.vertices, np.float32) / scale)
        normals = torch.from_numpy(np.array(mesh.vertex_normals, np.float32))
        seen = seen_points(points, self.input_views, normals, [p.inside for p in self.photos]).cpu().numpy()
        mesh.vertex_attributes["seen"] = seen.astype(np.float32)
        mesh.metadata["seen_share"] = float((seen > 0).mean())
        return mesh

    def invented(self, frame: Frame) -> Float[Tensor, "1 height width"]:
        """Return the share of every pixel of a view that no photo shows, at the size of its depth."""
        seen = seen_pixels(frame, self.input_views, [photo.inside for photo in self.photos])
        return (1 - seen) * (frame.mask > _OPAQUE)

    def save(self, folder: Path, **notes: Any) -> list[Path]:
        """Write ``latent.npz`` (ws, labels, backgrounds) and the tuned generator's differences; each file is atomic.

        Args:
            folder: existing folder.
            notes: values to store in the file of differences, as JSON.

        Returns:
            Paths of both files.

        Raises:
            PanoHeadError: when they cannot be written.
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


def _any_opaque(view: Frame, inside: Float[Tensor, "1 height width"] | None = None) -> bool:
    alpha = view.alpha().cpu()
    return bool(((alpha if inside is None else alpha * inside.cpu()) > _OPAQUE).any())


class HeadNotes(TypedDict):
    """Notes of a saved head: name and SHA-256 of every photo's file."""

    photos: NotRequired[list[tuple[str, str]]]


def saved_notes(folder: Path) -> HeadNotes | None:
    """Return the notes of the head saved in a folder; None if there is no head (or it cannot be read)."""
    path = folder / TUNED_FILE
    try:
        check_regular(path, MAX_WEIGHTS_BYTES)
        with safe_open(path, framework="pt", device="cpu") as file:
            metadata = dict(file.metadata() or {})
        check_seal(path, metadata, required=False)
        return parse_json(metadata.get("notes", ""), HeadNotes, f"{path}, notes")
    except (OSError, SafetensorError, ValueError, PanoHeadError):
        return None


def open_reconstruction(folder: Path, generator: Generator) -> Head:
    """Open the head that ``panohead reconstruct`` wrote to a folder, with the generator it was made from.

    Raises:
        PanoHeadError: when the files are missing or belong to another generator.
    """
    latent = folder / LATENT_FILE
    if not latent.exists():
        what = f"holds no {LATENT_FILE}" if folder.is_dir() else "is a file" if folder.exists() else "does not exist"
        raise PanoHeadError(f"{folder} {what}; give the folder of a head that 'panohead reconstruct' made")
    try:
        ws = torch.from_numpy(read_arrays(latent, ["ws"])["ws"])
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise PanoHeadError(f"{latent} is not a readable latent; run 'panohead reconstruct' again") from error
    return Head(load_difference(folder / TUNED_FILE, generator), ws.to(next(generator.parameters()).device))
