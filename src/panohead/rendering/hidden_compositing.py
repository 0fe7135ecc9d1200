"""Decoder and compositing as one differentiable operation with a backward by hand: fewer passes over hidden units.

The hidden units of all samples are by far the largest array of a training step. Autograd reads and writes it some
twenty-five times (two consumers, their sum, outer products, saved copies), this operation thirteen times.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from panohead.rendering.compositing import interval_weights
from panohead.rendering.decoder_mlp import DecoderWeights
from panohead.rendering.density import EMPTY


class CompositedHidden(NamedTuple):
    """Composited rays.

    Attributes:
        hidden: weighted sum of the hidden units.
        depth: weighted mean distance, world units; not clamped, NaN without weight.
        weight_sum: foreground weight, [0, 1].
    """

    hidden: Float[Tensor, "batch ray hidden"]
    depth: Float[Tensor, "batch ray 1"]
    weight_sum: Float[Tensor, "batch ray 1"]


def composite_hidden(
    features: Float[Tensor, "batch point channel"],
    decoder: DecoderWeights,
    depths: Float[Tensor, "batch ray sample"],
    *,
    empty: Bool[Tensor, "batch ray sample"] | None = None,
    noise: Float[Tensor, "batch ray sample"] | None = None,
) -> CompositedHidden:
    """Composite hidden units along rays from tri-grid features at the rays' samples.

    Differentiable in features and decoder, twice by the plain formulation; not in ``depths``.

    Args:
        features: tri-grid features at the points of all samples, rays first.
        depths: distances, sorted along the ray.
        empty: samples whose density becomes EMPTY (crop).
        noise: added to raw density.
    """
    layers = decoder.hidden_weight, decoder.hidden_bias, decoder.output_weight[0], decoder.output_bias[0]
    given = (features.flatten(0, 1), *layers)
    if not (torch.is_grad_enabled() and any(x.requires_grad for x in given)):
        shares, depth, weight_sum, hidden = _forward(*given, depths, empty, noise)
        return CompositedHidden(_per_ray(shares, hidden), depth, weight_sum)
    found = _CompositeHidden.apply(*given, depths.detach(), empty, noise)
    return CompositedHidden(*found)


def _march(
    density: Tensor, depths: Tensor, empty: Tensor | None, noise: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Raw density "batch ray sample" to every sample's weight, mean depth and weight of the ray."""
    density = density if noise is None else density + noise
    density = density if empty is None else density.masked_fill(empty, EMPTY)
    weights = interval_weights(density, depths)  # batch ray interval
    weight_sum = weights.sum(dim=-1, keepdim=True)
    # half of both intervals that a sample borders, as in compositing.composite: batch ray sample
    shares = (F.pad(weights, (1, 0)) + F.pad(weights, (0, 1))) / 2
    return shares, (shares * depths).sum(dim=-1, keepdim=True) / weight_sum, weight_sum


def _forward(
    features: Tensor, weight: Tensor, bias: Tensor, density_weight: Tensor, density_bias: Tensor, *march: Any
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Shares, depth and weight of :func:`_march`, and hidden units "batch*ray*sample hidden", without gradients."""
    hidden = F.softplus(F.linear(features, weight, bias))
    density = torch.addmv(density_bias, hidden, density_weight).reshape(march[0].shape)
    return *_march(density, *march), hidden


def _per_ray(shares: Tensor, hidden: Tensor) -> Tensor:
    """Hidden units summed along every ray, each times its share: batch ray hidden."""
    samples = shares.shape[-1]
    per_ray = hidden.reshape(-1, samples, hidden.shape[-1])  # batch*ray sample hidden
    return torch.bmm(shares.reshape(-1, 1, samples), per_ray).reshape(*shares.shape[:2], -1)


def _plain(
    features: Tensor, weight: Tensor, bias: Tensor, density_weight: Tensor, density_bias: Tensor, *march: Any
) -> tuple[Tensor, Tensor, Tensor]:
    """Composite by autograd, for gradients of the gradient."""
    depths = march[0]
    hidden = F.softplus(F.linear(features, weight, bias))
    shares, depth, weight_sum = _march((hidden @ density_weight + density_bias).reshape(depths.shape), *march)
    return torch.einsum("brs,brsh->brh", shares, hidden.reshape(*depths.shape, -1)), depth, weight_sum


class _CompositeHidden(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *inputs: Any) -> tuple[Tensor, Tensor, Tensor]:
        features, weight, bias, density_weight, density_bias, depths, empty, noise = inputs
        hidden = F.softplus(F.linear(features, weight, bias))  # batch*ray*sample hidden
        density = torch.addmv(density_bias, hidden, density_weight).reshape(depths.shape)
        # Compositing itself is small (one number a sample): autograd records it.
        with torch.enable_grad():
            density.requires_grad_()
            ctx.march = (density, *_march(density, depths, empty, noise))
        shares, depth, weight_sum = (x.detach() for x in ctx.march[1:])
        per_ray = hidden.reshape(-1, depths.shape[-1], hidden.shape[-1])  # batch*ray sample hidden
        composited = torch.bmm(shares.reshape(-1, 1, depths.shape[-1]), per_ray)
        ctx.save_for_backward(features, weight, bias, density_weight, density_bias, hidden)
        ctx.given = depths, empty, noise
        ctx.set_materialize_grads(False)
        return composited.reshape(*depths.shape[:2], -1), depth, weight_sum

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        *inputs, hidden = ctx.saved_tensors
        if torch.is_grad_enabled():  # a graph of the gradient is wanted
            again = _plain(*inputs, *ctx.given)
            return *differentiable_gradients(again, grads, inputs, ctx.needs_input_grad), None, None, None
        features, weight, _, density_weight, _ = inputs
        density, shares, depth, weight_sum = ctx.march
        samples = shares.shape[-1]
        per_ray = hidden.reshape(-1, samples, hidden.shape[-1])
        # gradient of the composited hidden units, batch*ray hidden
        composited = per_ray.new_zeros(per_ray[:, 0].shape) if grads[0] is None else grads[0].flatten(0, 1)
        out_grads = [torch.bmm(per_ray, composited[:, :, None]).reshape(shares.shape), grads[1], grads[2]]
        given = [(x, grad) for x, grad in zip((shares, depth, weight_sum), out_grads, strict=True) if grad is not None]
        (grad_density,) = torch.autograd.grad(
            [x for x, _ in given], density, [grad for _, grad in given], retain_graph=True
        )
        # d loss / d hidden = share x gradient of the ray's composite + gradient of the density x its weights:
        # batch*ray sample 2 @ batch*ray 2 hidden.
        left = torch.stack([shares.detach().reshape(-1, samples), grad_density.reshape(-1, samples)], dim=-1)
        right = torch.stack([composited, density_weight.expand_as(composited)], dim=1)
        grad_hidden = torch.bmm(left, right).reshape(hidden.shape)
        # The derivative of softplus in terms of its value: 1 - exp(-softplus(x)).
        grad_before = grad_hidden.mul_(torch.neg(hidden).expm1_().neg_())
        return (
            grad_before @ weight if ctx.needs_input_grad[0] else None,
            (features.T @ grad_before).T,  # ten times faster than grad_before.T @ features
            grad_before.sum(dim=0),
            grad_density.reshape(-1) @ hidden,
            grad_density.sum(),
            None,
            None,
            None,
        )


def differentiable_gradients(
    outputs: Sequence[Tensor], grads: Sequence[Tensor | None], inputs: Sequence[Tensor | None], needed: Sequence[bool]
) -> list[Tensor | None]:
    """Return gradients of those inputs that are ``needed``, with a graph of their own; None for the others.

    Args:
        grads: gradients of the outputs; None for outputs that the loss does not use.
        inputs: tensors, or None where none is needed.
    """
    given = [(x, grad) for x, grad in zip(outputs, grads, strict=True) if grad is not None]
    wanted = [x for x, need in zip(inputs, needed, strict=False) if need and x is not None]
    found = iter(
        torch.autograd.grad(
            [x for x, _ in given], wanted, [grad for _, grad in given], create_graph=True, materialize_grads=True
        )
    )
    return [next(found) if need else None for need in needed[: len(inputs)]]
