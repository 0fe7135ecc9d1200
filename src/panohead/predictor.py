"""Python API from checkpoint to heads: ``load("demo").sample(seed=0).render(Camera.orbit(yaw_deg=135)).to_pil()``."""

import logging
import operator
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from panohead.attributes import AttributeEncoder
from panohead.attributes.named import Attribute, attributes_of
from panohead.checkpoint import Checkpoint, load_checkpoint, save_checkpoint, weights_sha256
from panohead.errors import PanoHeadError, UsageError
from panohead.files.file_kind import kind_of
from panohead.files.regular import path_of
from panohead.geometry import Camera, single_camera
from panohead.head import Head, check_head
from panohead.hub import (
    CARD_FILE,
    MODEL_FILE,
    hub_file,
    is_hub_name,
    model_card,
    parse_hub_name,
    pretrained_file,
    push_folder,
)
from panohead.known_models import BUNDLED, bundled_encoder_file, bundled_file
from panohead.limits import INTERPOLATION, SEED, TRUNCATION_PSI, NumberRange
from panohead.models.generator import Generator
from panohead.models.photo_encoder import PhotoEncoder
from panohead.models.precision import use_half_precision
from panohead.ops.precision import Precision, set_precision

if TYPE_CHECKING:
    import panohead.inversion

_log = logging.getLogger(__name__)


def load(
    name_or_path: str | Path, device: torch.device | str = "cpu", *, precision: Precision = "parity"
) -> "Predictor":
    """Open a generator.

    Args:
        name_or_path: a bundled name ("demo"), a ``.safetensors`` checkpoint, an official ``.pkl``, or a file on a hub
            (``hf://user/model@revision``, see :mod:`panohead.hub`).
        device: device to run on.
        precision: on a GPU, "parity" computes as exactly as a CPU and "speed" in TensorFloat-32 and half precision; on
            a CPU there is no difference. Set for the whole process: :mod:`panohead.ops.precision`.

    Raises:
        UsageError: for a precision that does not exist, or a name that is no text.
        PanoHeadError: when there is no such checkpoint, it cannot be read or fetched, or the device does not exist.
    """
    if precision not in get_args(Precision):
        raise UsageError(f"there is no precision {precision!r}; give one of {', '.join(get_args(Precision))}")
    checkpoint = open_checkpoint(name_or_path)
    _log.info("loaded %s (sha256 %s) on %s", name_or_path, (checkpoint.sha256 or "not recorded")[:16], device)
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
    """Read a checkpoint by bundled name, path or name on a hub, on the CPU; an official pickle without executing it.

    Raises:
        UsageError: for a name that is no text.
        PanoHeadError: when there is no such checkpoint, or it cannot be read.
    """
    if not isinstance(name_or_path, str | Path):
        kind = type(name_or_path).__name__
        raise UsageError(f"a checkpoint is named by text or a path, not by a value of type {kind}; give 'demo' or one")
    if is_hub_name(name_or_path):
        return load_checkpoint(hub_file(parse_hub_name(str(name_or_path))))
    if str(name_or_path) in BUNDLED and not Path(name_or_path).is_file():
        return _bundled(str(name_or_path))
    if is_official(Path(name_or_path)):
        from panohead.interop.official import load_networks  # here: few need it

        return Checkpoint(load_networks(name_or_path), notes={"source": Path(name_or_path).name})
    return load_checkpoint(name_or_path)


def _bundled(name: str) -> Checkpoint:
    """Read a bundled model with its photo encoder."""
    model, encoder = load_checkpoint(bundled_file(name)), bundled_encoder_file(name)
    if encoder is None:
        return model
    return replace(model, networks=model.networks | load_checkpoint(encoder).networks)


def is_official(path: Path) -> bool:
    """Return True for a file that is to be read as an official pickle: by its content, whatever its name.

    Files that are neither a pickle nor safetensors go by their suffix, so that the right reader says what they are.
    """
    try:
        kind = kind_of(path).name if path.is_file() else ""
    except OSError:
        kind = ""
    return kind == "pickle" or (path.suffix.lower() == ".pkl" and kind != "safetensors")


class Predictor:
    """Source of heads: one generator.

    Args:
        generator: put in eval mode, without gradients, and then only read.
        checkpoint: checkpoint it is from.
    """

    def __init__(self, generator: Generator, checkpoint: Checkpoint | None = None) -> None:
        self.generator = generator.eval().requires_grad_(False)
        self.checkpoint = checkpoint

    @staticmethod
    def from_pretrained(
        name_or_folder: str | Path, device: torch.device | str = "cpu", *, revision: str | None = None
    ) -> "Predictor":
        """Open a model of a hub ("user/model", fetched once), or of a folder that :meth:`save_pretrained` wrote.

        Args:
            revision: branch, tag or commit of the repository.

        Raises:
            UsageError, PanoHeadError: as :func:`panohead.hub.pretrained_file` and :func:`load`.
        """
        return load(pretrained_file(name_or_folder, revision), device)

    def save_pretrained(self, folder: str | Path) -> Path:
        """Write the checkpoint and a model card to a folder, as repositories on a hub have them.

        Raises:
            PanoHeadError: when the folder cannot be written.
        """
        from panohead.system.atomic_write import prepare_folder, write_bytes

        folder = path_of(folder)
        prepare_folder(folder, is_folder=True)
        known = self.checkpoint or Checkpoint({"G_ema": self.generator})
        dtype: Literal["float16", "float32"] = "float16" if known.fits_float16() else "float32"
        save_checkpoint(folder / MODEL_FILE, known.networks, kimg=known.kimg, notes=known.notes, dtype=dtype)
        write_bytes(folder / CARD_FILE, model_card(load_checkpoint(folder / MODEL_FILE)).encode())
        return folder

    def push_to_hub(self, name: str, *, private: bool = True, message: str = "Add a PanoHead generator") -> str:
        """Upload the checkpoint and its model card to "user/model"; returns the URL of the commit.

        Args:
            private: of a repository that is made for it: only its owner sees it.

        Raises:
            UsageError, PanoHeadError: as :func:`panohead.hub.push_folder`.
        """
        with tempfile.TemporaryDirectory() as folder:
            return push_folder(self.save_pretrained(folder), name, private=private, message=message)

    @property
    def device(self) -> torch.device:
        """Device of the generator."""
        return next(self.generator.parameters()).device

    @property
    def photo_encoder(self) -> PhotoEncoder | None:
        """Network from aligned photos to w, on the generator's device; None where the checkpoint has none."""
        encoder = None if self.checkpoint is None else self.checkpoint.photo_encoder()
        return None if encoder is None else encoder.to(self.device)

    @property
    def sha256(self) -> str:
        """SHA-256 of the checkpoint; of the weights where it has none."""
        stored = "" if self.checkpoint is None else self.checkpoint.sha256
        return stored or weights_sha256(self.generator)

    @cached_property
    def attribute_encoder(self) -> AttributeEncoder | None:
        """Network from named attributes to w, which :meth:`Head.with_attributes` needs; None where there is none."""
        encoder = None if self.checkpoint is None else self.checkpoint.attribute_encoder()
        return encoder if encoder is not None and encoder.config.w_dim == self.generator.config.w_dim else None

    @property
    def attributes(self) -> dict[str, Attribute]:
        """Attributes that heads of this model have, by name, with their ranges; none without an attribute encoder."""
        return {} if self.attribute_encoder is None else attributes_of(self.attribute_encoder.vocabulary)

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

        Raises:
            UsageError: for numbers outside the ranges of :mod:`panohead.limits`, or several cameras.
        """
        seed = SEED.whole(seed, "seed")
        truncation_psi = TRUNCATION_PSI.real(truncation_psi, "truncation_psi")
        if truncation_cutoff is not None:
            rows = NumberRange(0, self.generator.num_ws, "rows of ws")
            truncation_cutoff = rows.whole(truncation_cutoff, "truncation_cutoff")
        front = Camera.orbit() if conditioning_camera is None else conditioning_camera
        label = single_camera(front, "conditioning_camera").expand(1).to(self.device).to_label()
        z = torch.from_numpy(latent(seed, self.generator.config.z_dim)).to(self.device)
        options: dict[str, Any] = {"truncation_psi": truncation_psi, "truncation_cutoff": truncation_cutoff}
        ws = self.generator.mapping(z, label, **options)
        return Head(self.generator, ws, self.generator.align_camera(z, label, **options), self.attribute_encoder)

    def from_w(self, ws: Tensor) -> Head:
        """Return the head of given ws: "num_ws w_dim" or one row "w_dim" for all, also with a batch dimension of 1.

        Raises:
            UsageError: for any other shape, or numbers that are not finite.
        """
        rows, width = self.generator.num_ws, self.generator.config.w_dim
        if not isinstance(ws, Tensor):
            raise UsageError(f"ws are of type {type(ws).__name__}; give a tensor of {rows} rows of {width}")
        ws = ws.to(self.device, torch.float32)
        flat = ws.reshape(-1, width) if ws.ndim > 0 and ws.shape[-1] == width else ws.new_zeros(0, width)
        if len(flat) == 1:
            flat = flat.expand(rows, width)
        if len(flat) != rows:
            raise UsageError(
                f"ws of shape {tuple(ws.shape)} do not fit this generator; give {rows} rows of {width} or one of them"
            )
        if not bool(flat.isfinite().all()):
            raise UsageError("ws hold numbers that are not finite; give others")
        return Head(self.generator, flat[None], attribute_encoder=self.attribute_encoder)

    def mean_head(self) -> Head:
        """Return the head of the mean w, the limit of truncation."""
        return self.from_w(self.generator.mapping_network.w_avg)

    def reconstruct(
        self,
        images: Sequence[str | Path | Image.Image | np.ndarray] | str | Path | Image.Image | np.ndarray,
        cameras: Sequence[Camera] | Camera | None = None,
        **options: Any,
    ) -> "panohead.inversion.ReconstructedHead":
        """Reconstruct one person from 1 to 8 photos (PanoHead 4); the result is a head like any other.

        Args:
            images: one or several paths, images or RGB arrays; ordinary photos, or with ``cameras`` crops in the
                official frame.
            cameras: camera of each crop, without batch dimension; None for ordinary photos.
            options: further arguments of :func:`panohead.inversion.reconstruct`.

        Raises:
            PanoHeadError: for photos that cannot be used, or options that the preset does not take.
        """
        from panohead.inversion import reconstruct  # here: whoever only samples heads need not wait for it

        options.setdefault("encoder", self.photo_encoder)
        options.setdefault("attributes", self.attribute_encoder)
        head = reconstruct(self.generator, images, cameras, **options)
        head.attribute_encoder = self.attribute_encoder
        return head

    def open_reconstruction(self, folder: str | Path) -> Head:
        """Open the head that ``panohead reconstruct`` wrote to a folder, from this checkpoint.

        Raises:
            PanoHeadError: when the files are missing or belong to another checkpoint.
        """
        from panohead.inversion import open_reconstruction

        head = open_reconstruction(path_of(folder), self.generator)
        head.attribute_encoder = self.attribute_encoder
        return head

    def interpolate(self, first: Head, second: Head, amount: float) -> Head:
        """Return the head between two on a straight line in w.

        Args:
            first: head of amount 0; its generator makes the result (a reconstructed head has a tuned one).
            second: head of amount 1.
            amount: position on the line; beyond 0 to 1 it extrapolates.

        Raises:
            UsageError: for an amount outside :data:`panohead.limits.INTERPOLATION`, or heads whose ws differ in shape.
        """
        amount = INTERPOLATION.real(amount, "amount")
        _check_pair(first, second)
        ws = torch.lerp(first.ws, second.ws, amount)
        return Head(first.generator, ws, attribute_encoder=self.attribute_encoder)

    def mix(self, base: Head, style: Head, rows: Sequence[int]) -> Head:
        """Mix styles: return ``base`` with some rows of ``style``'s ws. Low rows are shape, high rows color.

        Raises:
            UsageError: for a row that does not exist, or heads whose ws differ in shape.
        """
        _check_pair(base, style)
        ws = base.ws.clone()
        try:
            chosen = [operator.index(row) for row in rows]
        except TypeError:
            raise UsageError(f"rows are {rows!r}; give a list of whole numbers, such as [4, 5]") from None
        if any(not 0 <= row < ws.shape[1] for row in chosen):
            raise UsageError(f"rows of ws go from 0 to {ws.shape[1] - 1}; {chosen} leaves that range")
        ws[:, chosen] = style.ws[:, chosen]
        return Head(base.generator, ws, attribute_encoder=self.attribute_encoder)


def _check_pair(first: Head, second: Head) -> None:
    """Refuse what are no two heads of generators of one kind."""
    check_head(first, "the first head")
    check_head(second, "the second head")
    if first.ws.shape != second.ws.shape:
        shapes = f"{tuple(first.ws.shape)} and {tuple(second.ws.shape)}"
        raise UsageError(f"the heads have ws of shapes {shapes}; take both from one generator")


def latent(seed: int, z_dim: int) -> Float[np.ndarray, "1 z_dim"]:
    """Return the official tools' z of a seed: standard normal, float32."""
    return np.random.RandomState(seed).randn(1, z_dim).astype(np.float32)
