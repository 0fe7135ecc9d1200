"""The decoder network: tri-grid features to density and color features (EG3D section 4.1; docs/reference.md 3.4)."""

from jaxtyping import Float
from torch import Tensor, nn

from panohead.rendering.decoder_mlp import ColorActivation, DecoderWeights
from panohead.stylegan.layers import FullyConnected


class Decoder(nn.Module):
    """A two-layer MLP from a tri-grid feature to raw density and color features; the view direction is not an input."""

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        hidden_features: int = 64,
        activation: ColorActivation = "none",
        lr_multiplier: float = 1.0,
    ) -> None:
        super().__init__()
        self.activation: ColorActivation = activation
        self.hidden = FullyConnected(in_features, hidden_features, lr_multiplier=lr_multiplier)
        self.output = FullyConnected(hidden_features, 1 + out_features, lr_multiplier=lr_multiplier)

    def weights(self) -> DecoderWeights:
        """Return the weights as the renderer uses them, learning-rate gains applied."""
        # hidden channel, hidden; 1 + color hidden, 1 + color
        (hidden, hidden_bias), (output, output_bias) = self.hidden.scaled(), self.output.scaled()
        assert hidden_bias is not None
        assert output_bias is not None
        return DecoderWeights(hidden, hidden_bias, output, output_bias, self.activation)

    def forward(
        self, features: Float[Tensor, "batch point channel"]
    ) -> tuple[Float[Tensor, "batch point 1"], Float[Tensor, "batch point color"]]:
        """Return raw density (any real number) and color features."""
        weights = self.weights()
        hidden = weights.hidden(features)  # batch point hidden
        return weights.density(hidden), weights.color(hidden)
