"""Camera self-adaptation, the second stage of PanoHead's two-stage alignment (PanoHead section 3.4).

Crops of heads photographed from the side or from behind are aligned only coarsely. A small network may therefore
displace the camera of every generated head a little, from its latent and its label; a regularizer keeps the mean
displacement small (:func:`panohead.training.regularizers.camera_offset_penalty`).
"""

from jaxtyping import Float
from torch import Tensor, nn

from panohead.stylegan.mapping import MappingNetwork, Truncation


class CameraAlignment(nn.Module):
    """A mapping network from (z, label) to a translation of the camera in world units (docs/reference.md 3.13)."""

    def __init__(self, z_dim: int, label_dim: int, *, num_layers: int = 2) -> None:
        super().__init__()
        # Three outputs, one row; linear, so that offsets of either sign and any size are within reach.
        self.mapping = MappingNetwork(
            z_dim, label_dim, 3, num_ws=1, num_layers=num_layers, last_activation="linear", lr_multiplier=1.0
        )

    def forward(
        self,
        z: Float[Tensor, "batch z_dim"],
        label: Float[Tensor, "batch label_dim"],
        *,
        truncation: Truncation | None = None,
        update_w_avg: bool = False,
    ) -> Float[Tensor, "batch 3"]:
        """Return the camera's translation; large (order one) while the network is untrained.

        Args:
            truncation: toward the mean translation, as for w; None for none.
            update_w_avg: move the running mean toward this batch (training).
        """
        offset = self.mapping(z, label, truncation=truncation, update_w_avg=update_w_avg)  # batch 1 3
        return offset[:, 0]
