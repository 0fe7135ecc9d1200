"""The hand-written backward against autograd through the plain formulation."""

import torch

from panohead.rendering.compositing import composite
from panohead.rendering.decoder_mlp import DecoderWeights
from panohead.rendering.hidden_compositing import CompositedHidden, composite_hidden


def test_same_values_and_gradients_as_decode_then_composite() -> None:
    g = torch.Generator().manual_seed(0)

    def leaf(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=g, dtype=torch.float64).requires_grad_()

    batch, rays, samples, channels, hidden = 2, 7, 6, 3, 5
    features, depths = leaf(batch, rays * samples, channels), torch.rand(batch, rays, samples, generator=g).double()
    depths = depths.sort(dim=-1).values
    leaves = [features, leaf(hidden, channels), leaf(hidden), leaf(4, hidden), leaf(4)]
    decoder = DecoderWeights(leaves[1], leaves[2], leaves[3], leaves[4])
    empty = torch.rand(batch, rays, samples, generator=g) < 0.2
    noise = torch.randn(batch, rays, samples, generator=g, dtype=torch.float64)

    units = decoder.hidden(features)
    density = decoder.density(units).reshape(batch, rays, samples) + noise
    plain = composite(units.reshape(batch, rays, samples, hidden), density.masked_fill(empty, -1000.0), depths)
    found = composite_hidden(features, decoder, depths, empty=empty, noise=noise)
    expected = CompositedHidden(plain.features, plain.depth, plain.weight_sum)
    pulls = [torch.randn(x.shape, generator=g, dtype=torch.float64) for x in found]
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other)

    # All three together, and each alone: what nobody pulls at must not matter.
    for chosen in ((0, 1, 2), (0,), (1,), (2,)):
        gradients, plain_gradients = (
            torch.autograd.grad(
                [x[i] for i in chosen], leaves, [pulls[i] for i in chosen], retain_graph=True, materialize_grads=True
            )
            for x in (found, expected)
        )
        for one, other in zip(gradients, plain_gradients, strict=True):
            torch.testing.assert_close(one, other)
