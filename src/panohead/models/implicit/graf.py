"""GRAF's conditional radiance field (Schwarz et al. 2020, section 3.2)."""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from panohead.models.implicit.config import ImplicitFieldConfig
from panohead.stylegan.layers import FullyConnected
from panohead.stylegan.mapping import Truncation


def positional_encoding(x: Float[Tensor, "*point 3"], octaves: int) -> Float[Tensor, "*point channel"]:
    """Return x and its sines and cosines of ``octaves`` octaves (GRAF equation 2; NeRF equation 4).

    gamma(p) = (sin 2^0 pi p, cos 2^0 pi p, sin 2^1 pi p, cos 2^1 pi p, ...) for every coordinate p. As in NeRF's
    experiments p itself comes first.

    Args:
        x: coordinates in [-1, 1].
    """
    octave = math.pi * 2.0 ** torch.arange(octaves, device=x.device, dtype=x.dtype)
    angles = (x[..., None, :] * octave[:, None]).flatten(-2)  # ... octave*3
    return torch.cat([x, angles.sin(), angles.cos()], dim=-1)


def encoded_width(octaves: int) -> int:
    """Return the number of channels of :func:`positional_encoding`."""
    return 3 * (1 + 2 * octaves)


class SplitCodes(nn.Module):
    """GRAF has no mapping network: z is the shape code followed by the appearance code, and so are the rows of ws.

    Truncation scales both toward their mean, which is zero.
    """

    num_ws = 2
    w_avg: Tensor

    def __init__(self, z_dim: int, w_dim: int) -> None:
        super().__init__()
        assert z_dim == 2 * w_dim
        self.z_dim, self.label_dim, self.w_dim = z_dim, 0, w_dim
        self.register_buffer("w_avg", torch.zeros(w_dim))

    def forward(
        self,
        z: Float[Tensor, "batch z_dim"],
        label: Float[Tensor, "batch label_dim"] | None,
        *,
        truncation: Truncation | None = None,
        update_w_avg: bool = False,
    ) -> Float[Tensor, "batch num_ws w_dim"]:
        """Return shape and appearance code as two rows; the label is not read, and there is no mean to update."""
        ws = z.float().unflatten(1, (2, self.w_dim))
        return ws if truncation is None else self.truncate(ws, truncation)

    def truncate(
        self, ws: Float[Tensor, "batch num_ws w_dim"], truncation: Truncation
    ) -> Float[Tensor, "batch num_ws w_dim"]:
        """Scale the first rows by psi."""
        if truncation.psi == 1:
            return ws
        cutoff = ws.shape[1] if truncation.cutoff is None else truncation.cutoff
        return torch.cat([ws[:, :cutoff] * truncation.psi, ws[:, cutoff:]], dim=1)


class GrafField(nn.Module):
    """Conditional radiance field (GRAF equations 3 to 6).

    ``h(x) = h_theta(gamma(x), z_shape)``, density ``sigma_theta(h)``, color ``c_theta(h, gamma(d), z_appearance)``:
    appearance and direction change no shape. Shape code and encoded point enter the first layer and, as in NeRF, the
    one after the middle. ReLU layers.
    """

    num_ws = 2

    def __init__(self, config: ImplicitFieldConfig, *, w_dim: int, out_features: int, box_warp: float) -> None:
        super().__init__()
        self.config = config
        self.scale = 2 / box_warp
        given = encoded_width(config.position_octaves) + w_dim
        self.skip = config.layers // 2 if config.layers > 2 else -1
        self.layers = nn.ModuleList(
            FullyConnected(
                given if i == 0 else config.width + (given if i == self.skip else 0), config.width, activation="relu"
            )
            for i in range(config.layers)
        )
        self.density_output = FullyConnected(config.width, 1)
        seen = encoded_width(config.direction_octaves) if config.view_dependent else 0
        self.color_hidden = FullyConnected(config.width + seen + w_dim, config.width // 2, activation="relu")
        self.color_output = FullyConnected(config.width // 2, out_features)

    def density(
        self, points: Float[Tensor, "batch point 3"], ws: Float[Tensor, "batch num_ws w_dim"]
    ) -> Float[Tensor, "batch point 1"]:
        """Return raw density at points in world units."""
        return self._density(self._hidden(points, ws))

    def forward(
        self,
        points: Float[Tensor, "batch point 3"],
        directions: Float[Tensor, "batch point 3"] | None,
        ws: Float[Tensor, "batch num_ws w_dim"],
    ) -> tuple[Float[Tensor, "batch point 1"], Float[Tensor, "batch point channel"]]:
        """Return raw density and colors in [0, 1]; directions are of unit length, away from the camera."""
        hidden = self._hidden(points, ws)
        parts = [hidden]
        if self.config.view_dependent:
            seen = torch.zeros_like(points) if directions is None else directions
            parts.append(positional_encoding(seen, self.config.direction_octaves))
        color = _linear(self.color_hidden, torch.cat(parts, dim=2), ws[:, 1])
        return self._density(hidden), torch.sigmoid(F.linear(color, *self.color_output.scaled()))

    def _hidden(self, points: Tensor, ws: Tensor) -> Tensor:
        encoded = positional_encoding(points * self.scale, self.config.position_octaves)
        x = encoded
        for i, layer in enumerate(self.layers):
            assert isinstance(layer, FullyConnected)
            if i == self.skip:
                x = torch.cat([x, encoded], dim=2)
            x = _linear(layer, x, ws[:, 0] if i in (0, self.skip) else None)
        return x

    def _density(self, hidden: Tensor) -> Tensor:
        return F.linear(hidden, *self.density_output.scaled()) * self.config.density_gain


def _linear(
    layer: FullyConnected, x: Float[Tensor, "batch point channel"], code: Float[Tensor, "batch w_dim"] | None
) -> Float[Tensor, "batch point out_features"]:
    """Return the ReLU of a layer of x and the head's code behind it, which is multiplied once, not at every point."""
    weight, bias = layer.scaled()
    assert bias is not None
    shift = bias[None]
    if code is not None:
        weight, own = weight.split([x.shape[2], code.shape[1]], dim=1)
        shift = torch.addmm(bias, code, own.T)
    # He's initialization: the gain keeps the second moment through the ReLU.
    return torch.relu(torch.matmul(x, weight.T) + shift[:, None]) * math.sqrt(2)
