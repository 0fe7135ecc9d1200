"""The hand-written backward against autograd through the plain formulation."""

import torch

from panohead.rendering.compositing import composite
from panohead.rendering.decoder import DecoderWeights
from panohead.training.hidden_compositing import composite_hidden


def test_same_values_and_gradients_as_decode_then_composite() -> None:
    g = torch.Generator().manual_seed(0)

    def leaf(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=g, dtype=torch.float64).requires_grad_()

    batch, rays, samples, channels, hidden = 2, 7, 6, 3, 5
    features, depths = leaf(batch, rays * samples, channels), torch.rand(batch, rays, samples, generator=g).double()
    depths = depths.sort(dim=-1).values
    leaves = [features, leaf(hidden, channels), leaf(hidden), leaf(4, hidden), leaf(4)]
    decoder = DecoderWeights(leaves[1], leaves[2], leaves[3], leaves[4])
    empty = torch.rand(batch, rays * samples, 1, generator=g) < 0.2

    def clean(density: torch.Tensor) -> torch.Tensor:
        return density.masked_fill(empty, -1000.0)

    units = decoder.hidden(features)
    plain = composite(
        units.reshape(batch, rays, samples, hidden),
        clean(decoder.density(units)).reshape(batch, rays, samples),
        depths,
    )
    found, weight_sum = composite_hidden(features, decoder, depths, clean)
    torch.testing.assert_close(found, plain.features)
    torch.testing.assert_close(weight_sum, plain.weight_sum)

    pulls = torch.randn(found.shape, generator=g).double(), torch.randn(weight_sum.shape, generator=g).double()
    expected = torch.autograd.grad((plain.features * pulls[0]).sum() + (plain.weight_sum * pulls[1]).sum(), leaves)
    gradients = torch.autograd.grad((found * pulls[0]).sum() + (weight_sum * pulls[1]).sum(), leaves)
    for one, other in zip(gradients, expected, strict=True):
        torch.testing.assert_close(one, other)
