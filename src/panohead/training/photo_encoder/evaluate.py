"""Figures and a contact sheet of held-out samples: what the encoder gets right of people it was never trained on."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from panohead.geometry import Camera
from panohead.inversion.losses import psnr_db
from panohead.inversion.objective import compositing_color
from panohead.media import contact_sheet
from panohead.models.generator import Generator, Rendering
from panohead.models.photo_encoder import EncoderPrediction, PhotoEncoder
from panohead.ops.pixels import image_to_uint8
from panohead.training.photo_encoder.augmentation import AugmentedPhotos, PhotoAugmentation, augment
from panohead.training.photo_encoder.batch import SampleBatch, batch_of
from panohead.training.photo_encoder.generated import resized
from panohead.training.photo_encoder.losses import true_label, whitened_error
from panohead.training.photo_encoder.samples import StoredSample

SHEET_YAWS_DEG = (0.0, 60.0, 180.0)
_SHEET_ROWS = 8
_AT_ONCE = 32


@dataclass(frozen=True)
class EncoderScore:
    """Figures of held-out samples; NaN where nothing is known.

    Attributes:
        w_error: squared whitened error of w, as a share of that of the mean w: 0 is perfect, 1 no better than the mean.
        attribute_error: squared error of attributes, as a share of that of their mean over the samples.
        yaw_error_deg, yaw_error_before_deg: mean absolute error of the camera's yaw after and before its correction.
        confidence_correlation: rank correlation of confidence and the negative error of w.
        second_psnr_db, mean_psnr_db: PSNR at the second view of the encoder's heads, and of the mean head.
    """

    w_error: float
    attribute_error: float
    yaw_error_deg: float
    yaw_error_before_deg: float
    confidence_correlation: float
    second_psnr_db: float = float("nan")
    mean_psnr_db: float = float("nan")

    def to_json(self) -> dict[str, float | None]:
        """Return rounded numbers, None for those that are unknown."""
        return {name: None if np.isnan(value) else round(value, 4) for name, value in asdict(self).items()}


@torch.no_grad()
def score(
    encoder: PhotoEncoder,
    generator: Generator,
    samples: Sequence[StoredSample],
    augmentation: PhotoAugmentation,
    *,
    seed: int,
    images: int = 0,
) -> EncoderScore:
    """Measure an encoder on samples.

    Args:
        encoder: in eval mode.
        samples: held-out samples, at least one.
        augmentation: what happens to the photos.
        seed: seed of the augmentation.
        images: number of samples whose second view is rendered.
    """
    errors, norms, confidence, turns = [], [], [], []
    read: list[Tensor] = []
    truth: list[Tensor] = []
    for first in range(0, len(samples), _AT_ONCE):
        batch = batch_of(samples[first : first + _AT_ONCE])
        photos, prediction = predict(encoder, batch, augmentation, seed=seed + first)
        known = batch.has_w
        errors.append(whitened_error(encoder, prediction, batch)[known])
        norms.append((encoder.from_w(batch.w).square() * encoder.axis_weights).mean(dim=1)[known])
        confidence.append(-prediction.log_error[known])
        yaw = torch.stack([prediction.offset[:, 0], torch.zeros(len(photos.offset))]) - photos.offset[:, 0]
        turns.append(yaw.abs())
        if prediction.attributes is not None:
            read.append(prediction.attributes[batch.has_attributes])
            truth.append(batch.attributes[batch.has_attributes])
    error, norm = torch.cat(errors), torch.cat(norms)
    turn = torch.cat(turns, dim=1).mean(dim=1)
    second = _second_views(encoder, generator, samples[:images], augmentation, seed) if images else (float("nan"),) * 2
    return EncoderScore(
        w_error=float(error.mean() / norm.mean()),
        attribute_error=_relative_error(torch.cat(read), torch.cat(truth)) if read else float("nan"),
        yaw_error_deg=float(turn[0]),
        yaw_error_before_deg=float(turn[1]),
        confidence_correlation=_rank_correlation(torch.cat(confidence), -error),
        second_psnr_db=second[0],
        mean_psnr_db=second[1],
    )


def predict(
    encoder: PhotoEncoder, batch: SampleBatch, augmentation: PhotoAugmentation, *, seed: int
) -> tuple[AugmentedPhotos, EncoderPrediction]:
    """Augment the photos of a batch and read them."""
    photos = augment(batch.photo, batch.label, batch.offset, augmentation, np.random.default_rng([seed, 2]))
    return photos, encoder(encoder.inputs(photos.image, photos.mask, photos.inside), photos.label)


def _relative_error(read: Tensor, truth: Tensor) -> float:
    if len(truth) < 2:
        return float("nan")
    return float((read - truth).square().mean() / (truth - truth.mean(dim=0)).square().mean())


def _rank_correlation(a: Tensor, b: Tensor) -> float:
    if len(a) < 3:
        return float("nan")
    ranks = torch.stack([a.argsort().argsort(), b.argsort().argsort()]).double()
    return float(torch.corrcoef(ranks)[0, 1])


def _second_views(
    encoder: PhotoEncoder,
    generator: Generator,
    samples: Sequence[StoredSample],
    augmentation: PhotoAugmentation,
    seed: int,
) -> tuple[float, float]:
    """Return the mean PSNR at the second view of the encoder's heads, and of the mean head."""
    batch = batch_of(samples)
    _, prediction = predict(encoder, batch, augmentation, seed=seed)
    rays = batch.second.shape[-1]
    layers = batch.second.float() / 255
    color, mask = layers[:, :3] * 2 - 1, layers[:, 3:]
    empty = compositing_color(generator)
    found: list[list[float]] = [[], []]
    for i in range(len(samples)):
        for row, w in zip(found, (prediction.w[i], encoder.mean), strict=True):
            view = render(
                generator, w, batch.second_label[i], rays=min(rays, generator.config.neural_rendering_resolution)
            )
            image, own = resized(view.image_raw, rays)[0], resized(view.mask, rays)[0].clamp(0, 1)
            behind = 0.0 if empty is None else empty
            target = mask[i] * color[i] + (1 - mask[i]) * behind
            row.append(psnr_db(image if empty is not None else image * own, target))
    return float(np.mean(found[0])), float(np.mean(found[1]))


def render(
    generator: Generator, w: Float[Tensor, " w_dim"], label: Float[Tensor, " 25"], *, rays: int | None = None
) -> Rendering:
    """Render a w from one camera; with ``rays`` the raw image alone."""
    ws = w.expand(1, generator.num_ws, -1)
    camera = Camera.from_label(label)
    return generator.render_view(generator.field(ws), ws, camera, resolution=rays, superresolve=rays is None)


@torch.no_grad()
def sample_sheet(
    encoder: PhotoEncoder,
    generator: Generator,
    samples: Sequence[StoredSample],
    augmentation: PhotoAugmentation,
    *,
    seed: int,
) -> Image.Image:
    """Return a contact sheet: the photo as the encoder sees it, its head from the photo's side, 0, 60 and 180 degrees,
    and the true views."""
    chosen = [samples[i] for i in np.linspace(0, len(samples) - 1, min(_SHEET_ROWS, len(samples))).astype(int)]
    batch = batch_of(chosen)
    photos, prediction = predict(encoder, batch, augmentation, seed=seed)
    seen = encoder.inputs(photos.image, photos.mask, photos.inside)[:, :3]
    labels = true_label(batch)
    rows, names = [], []
    for i in range(len(chosen)):
        cameras = [labels[i], *(Camera.orbit(yaw).to_label() for yaw in SHEET_YAWS_DEG), batch.second_label[i]]
        heads = [render(generator, prediction.w[i], label).image[0] for label in cameras]
        truth = [_on_gray(pixels) for pixels in (batch.photo[i], batch.second[i])]
        cells = [seen[i], heads[0], truth[0], *heads[1:4], heads[4], truth[1]]
        rows.append([_to_pil(cell) for cell in cells])
        names.append(f"{float(prediction.confidence[i]):.0%}")
    columns = ["input", "head", "truth", *(f"{yaw:.0f}°" for yaw in SHEET_YAWS_DEG), "2nd view", "truth"]
    return contact_sheet(rows, row_labels=names, column_labels=columns, cell_size=128, padding=4)


def _on_gray(pixels: Tensor) -> Tensor:
    layers = pixels.float() / 255
    return (layers[:3] * 2 - 1) * layers[3:]


def _to_pil(image: Float[Tensor, "3 height width"]) -> Image.Image:
    return Image.fromarray(image_to_uint8(image).permute(1, 2, 0).cpu().numpy())
