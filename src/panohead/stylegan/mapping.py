"""The mapping network: (z, label) to w, with truncation toward the mean w (docs/reference.md 2.5)."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from panohead.ops.bias_act import Activation
from panohead.stylegan.layers import FullyConnected, normalize_second_moment

W_AVERAGE_BETA = 0.998
"""Decay of the running mean of w per training step."""


@dataclass(frozen=True)
class Truncation:
    """Truncation toward the mean w, for samples of less variety and better quality.

    Attributes:
        psi: 1 leaves w alone, 0 gives the mean.
        cutoff: number of first rows of ws that are truncated; None for all.
    """

    psi: float = 1.0
    cutoff: int | None = None


class MappingNetwork(nn.Module):
    """A small MLP from normalized latent and label to ``num_ws`` equal rows of w.

    Args:
        z_dim: latent width; 0 for none (the discriminator maps labels only).
        label_dim: label width; 0 for none.
        num_ws: rows of the output; None gives one row without that dimension and keeps no average of w.
        num_layers: fully connected layers after the embedding of the label.
        embed_features, layer_features: widths of the embedded label and of hidden layers; None takes ``w_dim``.
        activation: activation of the layers.
        last_activation: activation of the final layer; None for the same as the others (PanoHead's addition).
        lr_multiplier: learning-rate multiplier of the layers; 0.01 everywhere but in camera self-adaptation.
    """

    w_avg: Tensor

    def __init__(
        self,
        z_dim: int,
        label_dim: int,
        w_dim: int,
        *,
        num_ws: int | None,
        num_layers: int = 8,
        embed_features: int | None = None,
        layer_features: int | None = None,
        activation: Activation = "lrelu",
        last_activation: Activation | None = None,
        lr_multiplier: float = 0.01,
    ) -> None:
        super().__init__()
        self.z_dim, self.label_dim, self.w_dim = z_dim, label_dim, w_dim
        self.num_ws = num_ws
        embed_features = (w_dim if embed_features is None else embed_features) if label_dim > 0 else 0
        hidden = w_dim if layer_features is None else layer_features
        widths = [z_dim + embed_features, *[hidden] * (num_layers - 1), w_dim]
        self.embed = FullyConnected(label_dim, embed_features) if label_dim > 0 else None
        self.layers = nn.ModuleDict()
        for i in range(num_layers):
            last = i == num_layers - 1
            act = last_activation if last and last_activation is not None else activation
            self.layers[f"fc{i}"] = FullyConnected(
                widths[i], widths[i + 1], activation=act, lr_multiplier=lr_multiplier
            )
        if num_ws is not None:
            self.register_buffer("w_avg", torch.zeros(w_dim))

    def forward(
        self,
        z: Float[Tensor, "batch z_dim"] | None,
        label: Float[Tensor, "batch label_dim"] | None,
        *,
        truncation: Truncation | None = None,
        update_w_avg: bool = False,
    ) -> Float[Tensor, "batch num_ws w_dim"] | Float[Tensor, "batch w_dim"]:
        """Map to w.

        Args:
            z: standard normal; normalized here.
            label: conditioning label; embedded and normalized here.
            truncation: toward the mean w; None for none.
            update_w_avg: move the running mean of w toward this batch (training).
        """
        parts = []  # normalized apart: neither z nor label dominates by its scale
        if self.z_dim > 0:
            assert z is not None
            parts.append(normalize_second_moment(z.float()))
        if self.embed is not None:
            assert label is not None
            parts.append(normalize_second_moment(self.embed(label.float())))
        w = torch.cat(parts, dim=1)  # batch z_dim+embed_features
        for layer in self.layers.values():
            w = layer(w)  # batch w_dim in the end
        if update_w_avg:
            # w_avg <- mean w + 0.998 (w_avg - mean w)
            self.w_avg.copy_(w.detach().mean(dim=0).lerp(self.w_avg, W_AVERAGE_BETA))
        if self.num_ws is None:
            return w
        ws = w[:, None].repeat(1, self.num_ws, 1)  # batch num_ws w_dim
        return ws if truncation is None else self.truncate(ws, truncation)

    def truncate(
        self, ws: Float[Tensor, "batch num_ws w_dim"], truncation: Truncation
    ) -> Float[Tensor, "batch num_ws w_dim"]:
        """Move the first rows toward the mean w: w_avg + psi (w - w_avg)."""
        if truncation.psi == 1:
            return ws
        cutoff = ws.shape[1] if truncation.cutoff is None else truncation.cutoff
        return torch.cat([self.w_avg.lerp(ws[:, :cutoff], truncation.psi), ws[:, cutoff:]], dim=1)
