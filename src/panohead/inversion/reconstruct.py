"""From photos of one person to a head."""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import torch
import trimesh
from jaxtyping import Float
from torch import Tensor

from panohead.data.align_tools import AlignmentTools
from panohead.errors import PanoHeadError
from panohead.frame import Frame
from panohead.geometry import Camera
from panohead.head import Head
from panohead.inversion import official
from panohead.inversion.difference import fingerprint, load_difference
from panohead.inversion.draws import Draws
from panohead.inversion.fast import FastConfig, Found, reconstruct_fast
from panohead.inversion.journal import Journal
from panohead.inversion.losses import PictureLoss, PyramidLoss
from panohead.inversion.objective import PhotoObjective, empty_colour
from panohead.inversion.official import OfficialConfig
from panohead.inversion.photo import MaskPicture, Photo, Picture, read_pictures
from panohead.inversion.visibility import seen_points
from panohead.inversion.w_space import w_space
from panohead.media.atomic import atomic_path
from panohead.mesh import OFFICIAL_LEVEL
from panohead.mesh_export import METRES_PER_WORLD_UNIT
from panohead.models.generator import Generator
from panohead.predictor import Predictor

Preset = Literal["fast", "official"]
OFFICIAL_SEED = 666


@dataclass(frozen=True)
class Reconstruction:
    """Attributes:
    generator, untuned: after and before tuning.
    ws: of the head.
    photos: as they were compared.
    cameras: found for the photos, without batch dimension.
    ws_background: of every photo's own background; None where there is only the head's.
    journal: what happened, step by step.
    """

    generator: Generator
    untuned: Generator
    ws: Float[Tensor, "1 num_ws w_dim"]
    photos: Sequence[Photo]
    cameras: Sequence[Camera]
    ws_background: Float[Tensor, "photo num_ws w_dim"] | None
    journal: Journal

    @cached_property
    def head(self) -> Head:
        """The head, like any other."""
        return Head(self.generator, self.ws)

    @cached_property
    def input_views(self) -> list[Frame]:
        """The reconstruction as the photos' cameras see it."""
        views = []
        for i, camera in enumerate(self.cameras):
            own = None if self.ws_background is None else Head(self.generator, self.ws_background[i : i + 1])
            views.append(self.head.render(camera, background=own))
        return views

    def mesh(self, resolution: int = 256, *, level: float = OFFICIAL_LEVEL) -> trimesh.Trimesh:
        """The head's mesh; its vertex attribute ``seen`` says how well the photos saw a vertex, 0 (invented) to 1.

        Raises:
            PanoHeadError: when there is no surface at this level.
        """
        mesh = self.head.mesh(resolution, level=level)
        points = torch.from_numpy(np.array(mesh.vertices, np.float32) / METRES_PER_WORLD_UNIT)
        normals = torch.from_numpy(np.array(mesh.vertex_normals, np.float32))
        seen = seen_points(points, self.input_views, normals).cpu().numpy()
        mesh.vertex_attributes["seen"] = seen.astype(np.float32)
        mesh.metadata["seen_share"] = float((seen > 0).mean())
        return mesh

    def save_latent(self, path: Path) -> Path:
        """Write ws, cameras (labels) and backgrounds as ``.npz``; atomic."""
        arrays = {
            "ws": self.ws.cpu().numpy(),
            "labels": torch.stack([c.to_label() for c in self.cameras]).detach().cpu().numpy(),
            "base": np.array(fingerprint(self.untuned)),
        }
        if self.ws_background is not None:
            arrays["ws_background"] = self.ws_background.cpu().numpy()
        with atomic_path(path) as temporary, temporary.open("wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]
        return path


def reconstruct(
    predictor: Predictor,
    images: Sequence[Picture],
    cameras: Sequence[Camera] | None = None,
    *,
    masks: Sequence[MaskPicture | None] | None = None,
    preset: Preset = "fast",
    config: FastConfig | OfficialConfig | None = None,
    loss: PictureLoss | None = None,
    seed: int | None = None,
    journal: Journal | None = None,
    tools: AlignmentTools | None = None,
) -> Reconstruction:
    """Find the w of one person in 1 to 8 photos and tune a copy of the generator to them.

    Args:
        images: paths, pictures or RGB arrays. With ``cameras`` crops in the official frame, otherwise ordinary photos.
        masks: the head in each crop (with ``cameras``; ordinary photos are masked by ``tools``).
        preset: "official" for the original's protocol (one photo).
        config: numbers of the preset; None for its defaults.
        loss: perceptual loss; None for the weight-free :class:`PyramidLoss`.
        seed: of all random numbers.
        journal: for progress, stopping and continuing.

    Raises:
        PanoHeadError: for pictures that cannot be used, or a preset that does not fit.
    """
    generator = predictor.generator
    photos = read_pictures(images, cameras, output_side(generator), masks=masks, tools=tools)
    config = config if config is not None else FastConfig() if preset == "fast" else OfficialConfig()
    if isinstance(config, OfficialConfig) != (preset == "official"):
        raise PanoHeadError(f"the preset {preset} does not go with a {type(config).__name__}; give one that does")
    loss = PyramidLoss() if loss is None else loss
    journal = Journal() if journal is None else journal
    seed = (OFFICIAL_SEED if preset == "official" else 0) if seed is None else seed
    journal.identity = _identity(generator, photos, config, loss, seed)
    if journal.path is not None and journal.resume:
        journal.open()
    if isinstance(config, OfficialConfig):
        found = _official(generator, photos, config, loss, seed, journal)
    else:
        empty = None
        if generator.background is None:
            empty = empty_colour(generator, predictor.mean_head().ws)
        objective = PhotoObjective(
            photos,
            loss,
            empty=empty,
            background_weight=config.background_weight,
            mask_weight=config.mask_weight,
            device=predictor.device,
        )
        found = reconstruct_fast(generator, objective, config=config, seed=seed, journal=journal)
    return Reconstruction(found.generator, generator, found.ws, photos, found.cameras, found.ws_background, journal)


def _official(
    generator: Generator,
    photos: Sequence[Photo],
    config: OfficialConfig,
    loss: PictureLoss,
    seed: int,
    journal: Journal,
) -> Found:
    if len(photos) != 1:
        raise PanoHeadError(f"the preset official takes one photo, not {len(photos)}; use the preset fast for several")
    device = next(generator.parameters()).device
    copy = official.prepared(generator, config)
    target = photos[0].image[None].to(device)
    label = photos[0].camera.expand(1).to(device).to_label()
    space = w_space(copy, samples=config.w_samples, seed=config.w_seed)
    if config.camera_offset:
        label = official.offset_label(copy, space, label)
    draws = Draws(seed, 1, device)
    ws = official.search(copy, target, label, space, loss, config=config, draws=draws, journal=journal)
    if not journal.stop_asked():
        official.tune(copy, ws, target, label, loss, config=config, draws=Draws(seed, 2, device), journal=journal)
    return Found(copy, ws, [Camera.from_label(label[0])], None)


def output_side(generator: Generator) -> int:
    """Pixels per side of the generator's pictures."""
    return generator.config.superresolution.output_resolution


def open_reconstruction(folder: Path, predictor: Predictor) -> Head:
    """The head that ``panohead reconstruct`` wrote to a folder, with the checkpoint it was made from.

    Raises:
        PanoHeadError: when the files are missing or belong to another checkpoint.
    """
    latent, tuned = folder / LATENT_FILE, folder / TUNED_FILE
    try:
        with np.load(latent) as stored:
            ws = torch.from_numpy(stored["ws"])
    except (OSError, KeyError, ValueError) as error:
        raise PanoHeadError(f"{latent} is not a readable latent; run 'panohead reconstruct' again") from error
    return Head(load_difference(tuned, predictor.generator), ws.to(predictor.device))


LATENT_FILE = "latent.npz"
TUNED_FILE = "tuned.difference.safetensors"


def _identity(
    generator: Generator, photos: Sequence[Photo], config: FastConfig | OfficialConfig, loss: PictureLoss, seed: int
) -> str:
    """What a stored state must agree in to be continued."""
    digest = hashlib.sha256(repr((type(config).__name__, asdict(config), type(loss).__name__, seed)).encode())
    digest.update(fingerprint(generator).encode())
    for photo in photos:
        parts = [photo.image, photo.camera.to_label(), *([] if photo.mask is None else [photo.mask])]
        for part in parts:
            digest.update(part.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
