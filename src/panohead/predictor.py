"""Python API from checkpoint to heads: ``load("demo").sample(seed=0).render(Camera.orbit(yaw_deg=135)).to_pil()``."""

from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from panohead.checkpoint import Checkpoint, load_checkpoint
from panohead.errors import PanoHeadError
from panohead.geometry import Camera
from panohead.head import Head
from panohead.models.generator import Generator
from panohead.models.precision import use_half_precision
from panohead.ops.precision import Precision, set_precision

if TYPE_CHECKING:
    import panohead.inversion

BUNDLED = ("demo",)
"""Names of the models in the package."""


def load(
    name_or_path: str | Path, device: torch.device | str = "cpu", *, precision: Precision = "parity"
) -> "Predictor":
    """Open a generator.

    Args:
        name_or_path: a bundled name ("demo"), a ``.safetensors`` checkpoint or an official ``.pkl``.
        device: device to run on.
        precision: on a GPU, "parity" computes as exactly as a CPU and "speed" in TensorFloat-32 and half precision; on
            a CPU there is no difference. Set for the whole process: :mod:`panohead.ops.precision`.

    Raises:
        PanoHeadError: when there is no such checkpoint, it cannot be read, or the device does not exist.
    """
    checkpoint = open_checkpoint(name_or_path)
    try:
        if torch.device(device).type == "meta":
            raise RuntimeError("it holds no numbers")
        generator = checkpoint.generator().to(device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise PanoHeadError(f"the device {str(device)!r} cannot be used ({reason}); try device='cpu'") from error
    if torch.device(device).type == "cuda":
        set_precision(precision, fixed_shapes=precision == "speed")
        if precision == "speed":
            use_half_precision(generator)
    return Predictor(generator, checkpoint)


def open_checkpoint(name_or_path: str | Path) -> Checkpoint:
    """Read a checkpoint by bundled name or path, on the CPU; an official pickle is read without executing it.

    Raises:
        PanoHeadError: when there is no such checkpoint, or it cannot be read.
    """
    if str(name_or_path) in BUNDLED and not Path(name_or_path).is_file():
        asset = resources.files("panohead") / "assets" / f"{name_or_path}.safetensors"
        with resources.as_file(asset) as path:
            return load_checkpoint(path)
    if Path(name_or_path).suffix.lower() == ".pkl":
        from panohead.interop.official import load_networks  # here: few need it

        return Checkpoint(load_networks(name_or_path), notes={"source": Path(name_or_path).name})
    return load_checkpoint(name_or_path)


class Predictor:
    """Source of heads: one generator.

    Args:
        generator: put in eval mode, without gradients, and then only read.
        checkpoint: checkpoint it is from.
    """

    def __init__(self, generator: Generator, checkpoint: Checkpoint | None = None) -> None:
        self.generator = generator.eval().requires_grad_(False)
        self.checkpoint = checkpoint

    @property
    def device(self) -> torch.device:
        """Device of the generator."""
        return next(self.generator.parameters()).device

    @torch.no_grad()
    def sample(
        self,
        seed: int = 0,
        *,
        truncation_psi: float = 0.7,
        truncation_cutoff: int | None = None,
        conditioning_camera: Camera | None = None,
    ) -> Head:
        """Return the head of a seed; the same seed gives the same latent as the official tools.

        Args:
            seed: seed of z, 0 to 2^32 - 1.
            truncation_psi: truncation towards the mean w; 1 for full variety, 0 for the mean head.
            truncation_cutoff: number of rows of ws to truncate; None for all.
            conditioning_camera: camera that the latent is conditioned on (EG3D 4.4); None for the front.
        """
        z = torch.from_numpy(latent(seed, self.generator.config.z_dim)).to(self.device)
        label = (conditioning_camera or Camera.orbit()).expand(1).to(self.device).to_label()
        options: dict[str, Any] = {"truncation_psi": truncation_psi, "truncation_cutoff": truncation_cutoff}
        ws = self.generator.mapping(z, label, **options)
        return Head(self.generator, ws, self.generator.align_camera(z, label, **options))

    def from_w(self, ws: Tensor) -> Head:
        """Return the head of given ws: "num_ws w_dim" or one row "w_dim" for all, also with a batch dimension of 1.

        Raises:
            PanoHeadError: for any other shape.
        """
        rows, width = self.generator.backbone.num_ws, self.generator.config.w_dim
        ws = ws.to(self.device, torch.float32)
        flat = ws.reshape(-1, width) if ws.ndim > 0 and ws.shape[-1] == width else ws.new_zeros(0, width)
        if len(flat) == 1:
            flat = flat.expand(rows, width)
        if len(flat) != rows:
            raise PanoHeadError(
                f"ws of shape {tuple(ws.shape)} do not fit this generator, which has {rows} rows of {width}"
            )
        return Head(self.generator, flat[None])

    def mean_head(self) -> Head:
        """Return the head of the mean w, the limit of truncation."""
        return self.from_w(self.generator.mapping_network.w_avg)

    def reconstruct(
        self,
        images: Sequence[str | Path | Image.Image | np.ndarray],
        cameras: Sequence[Camera] | None = None,
        **options: Any,
    ) -> "panohead.inversion.ReconstructedHead":
        """Reconstruct one person from 1 to 8 photos (PanoHead 4); the result is a head like any other.

        Args:
            images: paths, images or RGB arrays; ordinary photos, or with ``cameras`` crops in the official frame.
            cameras: camera of each crop, without batch dimension; None for ordinary photos.
            options: further arguments of :func:`panohead.inversion.reconstruct`.

        Raises:
            PanoHeadError: for photos that cannot be used, or options that the preset does not take.
        """
        from panohead.inversion import reconstruct  # here: whoever only samples heads need not wait for it

        return reconstruct(self.generator, images, cameras, **options)

    def open_reconstruction(self, folder: str | Path) -> Head:
        """Open the head that ``panohead reconstruct`` wrote to a folder, from this checkpoint.

        Raises:
            PanoHeadError: when the files are missing or belong to another checkpoint.
        """
        from panohead.inversion import open_reconstruction

        return open_reconstruction(Path(folder), self.generator)

    def interpolate(self, first: Head, second: Head, amount: float) -> Head:
        """Return the head between two on a straight line in w.

        Args:
            first: head of amount 0; its generator makes the result (a reconstructed head has a tuned one).
            second: head of amount 1.
            amount: position on the line; beyond 0 to 1 it extrapolates.
        """
        return Head(first.generator, torch.lerp(first.ws, second.ws, amount))

    def mix(self, base: Head, style: Head, rows: Sequence[int]) -> Head:
        """Mix styles: return ``base`` with some rows of ``style``'s ws. Low rows are shape, high rows color.

        Raises:
            PanoHeadError: for a row that does not exist.
        """
        ws = base.ws.clone()
        if any(not 0 <= row < ws.shape[1] for row in rows):
            raise PanoHeadError(f"rows of ws go from 0 to {ws.shape[1] - 1}; {list(rows)} leaves that range")
        ws[:, list(rows)] = style.ws[:, list(rows)]
        return Head(base.generator, ws)


def latent(seed: int, z_dim: int) -> Float[np.ndarray, "1 z_dim"]:
    """Return the official tools' z of a seed: standard normal, float32."""
    return np.random.RandomState(seed).randn(1, z_dim).astype(np.float32)
