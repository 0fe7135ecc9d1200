"""Decode and composite in one differentiable step with a backward written by hand: fewer passes over the hidden units.

The hidden units of all samples are by far the largest array of a training step. Autograd reads and writes it some
twenty-five times (two consumers, their sum, outer products, saved copies), this does it thirteen times.
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
    """Of every ray: hidden units, mean depth (world units, unclamped, NaN without weight), weight in [0, 1]."""

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
    """Hidden units composited along rays from tri-grid features at the rays' samples.

    Differentiable in features and decoder, twice by the plain formulation; not in ``depths``.

    Args:
        features: at ray x sample points, rays first.
        depths: sorted along the ray.
        empty: samples whose density counts as nothing (crop).
        noise: added to raw density.
    """
    layers = decoder.hidden_weight, decoder.hidden_bias, decoder.output_weight[0], decoder.output_bias[0]
    found = _CompositeHidden.apply(features.flatten(0, 1), *layers, depths.detach(), empty, noise)
    return CompositedHidden(*found)


def _march(
    density: Tensor, depths: Tensor, empty: Tensor | None, noise: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Raw density "batch ray sample" to every sample's share of the ray, mean depth and weight."""
    density = density if noise is None else density + noise
    density = density if empty is None else density.masked_fill(empty, EMPTY)
    weights = interval_weights(density, depths)
    weight_sum = weights.sum(dim=-1, keepdim=True)
    shares = (F.pad(weights, (1, 0)) + F.pad(weights, (0, 1))) / 2
    return shares, (shares * depths).sum(dim=-1, keepdim=True) / weight_sum, weight_sum


def _plain(
    features: Tensor, weight: Tensor, bias: Tensor, density_weight: Tensor, density_bias: Tensor, *march: Any
) -> tuple[Tensor, Tensor, Tensor]:
    """The same by autograd: what a gradient of the gradient is taken of."""
    depths = march[0]
    hidden = F.softplus(F.linear(features, weight, bias))
    shares, depth, weight_sum = _march((hidden @ density_weight + density_bias).reshape(depths.shape), *march)
    return torch.einsum("brs,brsh->brh", shares, hidden.reshape(*depths.shape, -1)), depth, weight_sum


class _CompositeHidden(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *inputs: Any) -> tuple[Tensor, Tensor, Tensor]:
        features, weight, bias, density_weight, density_bias, depths, empty, noise = inputs
        hidden = F.softplus(F.linear(features, weight, bias))
        density = torch.addmv(density_bias, hidden, density_weight).reshape(depths.shape)
        # The march itself is small (one number a sample): autograd keeps it.
        with torch.enable_grad():
            density.requires_grad_()
            ctx.march = (density, *_march(density, depths, empty, noise))
        shares, depth, weight_sum = (x.detach() for x in ctx.march[1:])
        per_ray = hidden.reshape(-1, depths.shape[-1], hidden.shape[-1])
        composited = torch.bmm(shares.reshape(-1, 1, depths.shape[-1]), per_ray)
        ctx.save_for_backward(features, weight, bias, density_weight, density_bias, hidden)
        ctx.given = depths, empty, noise
        ctx.set_materialize_grads(False)
        return composited.reshape(*depths.shape[:2], -1), depth, weight_sum

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        *inputs, hidden = ctx.saved_tensors
        if torch.is_grad_enabled():  # a graph of the gradient is wanted
            return *pull_back(_plain(*inputs, *ctx.given), grads, inputs, ctx.needs_input_grad), None, None, None
        features, weight, _, density_weight, _ = inputs
        density, shares, depth, weight_sum = ctx.march
        samples = shares.shape[-1]
        per_ray = hidden.reshape(-1, samples, hidden.shape[-1])
        composited = per_ray.new_zeros(per_ray[:, 0].shape) if grads[0] is None else grads[0].flatten(0, 1)
        pulls = [torch.bmm(per_ray, composited[:, :, None]).reshape(shares.shape), grads[1], grads[2]]
        pulled = [(x, pull) for x, pull in zip((shares, depth, weight_sum), pulls, strict=True) if pull is not None]
        (grad_density,) = torch.autograd.grad(
            [x for x, _ in pulled], density, [pull for _, pull in pulled], retain_graph=True
        )
        # d loss / d hidden = share x gradient of the ray's composite + gradient of the density x its weights.
        left = torch.stack([shares.detach().reshape(-1, samples), grad_density.reshape(-1, samples)], dim=-1)
        right = torch.stack([composited, density_weight.expand_as(composited)], dim=1)
        grad_hidden = torch.bmm(left, right).reshape(hidden.shape)
        # The slope of softplus in terms of its value: 1 - exp(-softplus(x)).
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


def pull_back(
    outputs: Sequence[Tensor], grads: Sequence[Tensor | None], inputs: Sequence[Tensor], needed: Sequence[bool]
) -> list[Tensor | None]:
    """Gradients of those inputs that are ``needed``, with a graph of their own; None for the others."""
    pulled = [(x, pull) for x, pull in zip(outputs, grads, strict=True) if pull is not None]
    wanted = [x for x, need in zip(inputs, needed, strict=False) if need]
    found = iter(
        torch.autograd.grad(
            [x for x, _ in pulled], wanted, [pull for _, pull in pulled], create_graph=True, materialize_grads=True
        )
    )
    return [next(found) if need else None for need in needed[: len(inputs)]]
