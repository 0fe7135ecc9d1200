"""Camera self-adaptation, the second stage of PanoHead's two-stage alignment (paper section 3.3).

Crops of heads seen from the side or from behind are aligned only coarsely. A small network may therefore move the
camera of every generated head a little, from its latent and its label; a regulariser keeps the mean movement small.
"""

from jaxtyping import Float
from torch import Tensor, nn

from panohead.stylegan.mapping import MappingNetwork


class CameraAlignment(nn.Module):
    """(z, label) to a translation of the camera in world units."""

    def __init__(self, z_dim: int, label_dim: int, *, num_layers: int = 2) -> None:
        super().__init__()
        self.mapping = MappingNetwork(
            z_dim, label_dim, 3, num_ws=1, num_layers=num_layers, last_activation="linear", lr_multiplier=1.0
        )

    def forward(
        self,
        z: Float[Tensor, "batch z_dim"],
        label: Float[Tensor, "batch label_dim"],
        *,
        truncation_psi: float = 1.0,
        truncation_cutoff: int | None = None,
        update_w_avg: bool = False,
    ) -> Float[Tensor, "batch 3"]:
        """The camera's offset. Truncation acts on it as on w; official initial offsets are large (order one)."""
        offset = self.mapping(
            z,
            label,
            truncation_psi=truncation_psi,
            truncation_cutoff=truncation_cutoff,
            update_w_avg=update_w_avg,
        )
        return offset[:, 0]
