"""Losses of a photo encoder: w, attributes, camera, confidence, and images of its heads from two sides."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from panohead.geometry import Camera
from panohead.inversion.objective import compositing_color
from panohead.models.generator import Generator
from panohead.models.photo_encoder import EncoderPrediction, PhotoEncoder
from panohead.training.photo_encoder.batch import SampleBatch
from panohead.training.photo_encoder.generated import resized

_HUBER = 0.25  # of colors in [-1, 1], as in the regression fit
_MIN_LOG_ERROR = -6.0


def whitened_error(encoder: PhotoEncoder, prediction: EncoderPrediction, batch: SampleBatch) -> Float[Tensor, " photo"]:
    """Return the mean squared error of every whitened w, weighted by the axes' deviation; NaN where w is unknown."""
    difference = prediction.whitened - encoder.from_w(batch.w)
    return (difference.square() * encoder.axis_weights).mean(dim=1)


def regression_losses(
    encoder: PhotoEncoder, prediction: EncoderPrediction, batch: SampleBatch, offset: Float[Tensor, "photo 5"]
) -> dict[str, Tensor]:
    """Return the losses of what the encoder says, without rendering: means over the samples where the truth is known.

    Args:
        offset: true corrections of the cameras, in degrees and world units.
    """
    losses = {"offset": F.smooth_l1_loss(prediction.offset / encoder.offset_scale, offset / encoder.offset_scale)}
    known = batch.has_w
    if known.any():
        error = whitened_error(encoder, prediction, batch)[known]
        losses["w"] = error.mean()
        # The likelihood of the error under a normal distribution of the predicted variance. The error is no part of the
        # gradient: confidence follows w, not the other way round.
        log_error = prediction.log_error[known].clamp_min(_MIN_LOG_ERROR)
        losses["confidence"] = 0.5 * (error.detach() * (-log_error).exp() + log_error).mean()
    known = batch.has_attributes
    if prediction.attributes is not None and known.any():
        losses["attribute"] = F.mse_loss(prediction.attributes[known], batch.attributes[known])
    return losses


class ImageLosses:
    """Images of the encoder's heads against the true views, through the frozen generator.

    Args:
        generator: in eval mode, without gradients.
        rays: rays per side.
    """

    def __init__(self, generator: Generator, rays: int) -> None:
        self._generator, self._rays = generator, rays
        self._empty = compositing_color(generator)

    def __call__(self, w: Float[Tensor, "photo w_dim"], batch: SampleBatch) -> Float[Tensor, ""]:
        """Return the mean of color and mask errors at the input view and at the second one.

        Args:
            w: w of the first samples of the batch.
        """
        generator, count = self._generator, len(w)
        ws = w[:, None].expand(-1, generator.num_ws, -1)  # photo num_ws w_dim
        field = generator.field(ws)
        losses = []
        for pixels, label in ((batch.photo, true_label(batch)), (batch.second, batch.second_label)):
            view = generator.render_view(
                field, ws, Camera.from_label(label[:count]), resolution=self._rays, superresolve=False
            )
            layers = resized(pixels[:count].float() / 255, self._rays)
            color, mask = layers[:, :3] * 2 - 1, layers[:, 3:]
            weight = mask
            if self._empty is not None:
                color, weight = mask * color + (1 - mask) * self._empty, torch.ones_like(mask)
            error = F.smooth_l1_loss(view.image, color, beta=_HUBER, reduction="none")
            losses.append((error * weight).mean() + 0.5 * (view.mask - mask).abs().mean())
        return torch.stack(losses).mean()


def true_label(batch: SampleBatch) -> Float[Tensor, "photo 25"]:
    """Return the true cameras of the input views: moved along their own axes."""
    pose = batch.label[:, :16].unflatten(1, (4, 4))
    motion = (pose[:, :3, :3] @ batch.offset[..., None])[..., 0]  # photo 3, world axes
    return Camera.from_label(batch.label).translated(motion).to_label()
