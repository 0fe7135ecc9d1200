"""Decode and composite in one differentiable step with a backward written by hand: fewer passes over the hidden units.

The hidden units of all samples are by far the largest array of a training step. Autograd reads and writes it some
twenty-five times (two consumers, their sum, outer products, saved copies), this does it thirteen times.
"""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from panohead.rendering.compositing import interval_weights
from panohead.rendering.decoder import DecoderWeights


def composite_hidden(
    features: Float[Tensor, "batch point channel"],
    decoder: DecoderWeights,
    depths: Float[Tensor, "batch ray sample"],
    clean: Callable[[Tensor], Tensor],
) -> tuple[Float[Tensor, "batch ray hidden"], Float[Tensor, "batch ray 1"]]:
    """Hidden units composited along rays, and foreground weights, from tri-grid features at the rays' samples.

    Args:
        features: at ray x sample points, rays first.
        depths: sorted along the ray.
        clean: raw density "batch point 1" to the density that is marched (crop).
    """
    hidden, weight_sum = _CompositeHidden.apply(
        features.flatten(0, 1),
        decoder.hidden_weight,
        decoder.hidden_bias,
        decoder.output_weight[0],
        decoder.output_bias[0],
        depths,
        clean,
    )
    return hidden.unflatten(0, depths.shape[:2]), weight_sum


class _CompositeHidden(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        features: Tensor,
        weight: Tensor,
        bias: Tensor,
        density_weight: Tensor,
        density_bias: Tensor,
        depths: Tensor,
        clean: Callable[[Tensor], Tensor],
    ) -> tuple[Tensor, Tensor]:
        hidden = F.softplus(F.linear(features, weight, bias))
        density = (hidden @ density_weight + density_bias).reshape(depths.shape[0], -1, 1)
        # The march itself is small (one number a sample): autograd keeps it.
        with torch.enable_grad():
            density.requires_grad_()
            weights = interval_weights(clean(density).reshape(depths.shape), depths)
            weight_sum = weights.sum(dim=-1, keepdim=True)
            shares = (F.pad(weights, (1, 0)) + F.pad(weights, (0, 1))) / 2
        per_ray = hidden.reshape(-1, depths.shape[-1], hidden.shape[-1])
        composited = torch.bmm(shares.detach().reshape(-1, 1, depths.shape[-1]), per_ray)[:, 0]
        ctx.march = (density, shares, weight_sum)
        ctx.save_for_backward(features, weight, density_weight, hidden)
        return composited, weight_sum.detach()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        features, weight, density_weight, hidden = ctx.saved_tensors
        density, shares, weight_sum = ctx.march
        samples, grad_composited = shares.shape[-1], grads[0]
        per_ray = hidden.reshape(-1, samples, hidden.shape[-1])
        grad_shares = torch.bmm(per_ray, grad_composited[:, :, None]).reshape(shares.shape)
        (grad_density,) = torch.autograd.grad([shares, weight_sum], [density], [grad_shares, grads[1]])
        # d loss / d hidden = share x gradient of the ray's composite + gradient of the density x its weights.
        left = torch.stack([shares.detach().reshape(-1, samples), grad_density.reshape(-1, samples)], dim=-1)
        right = torch.stack([grad_composited, density_weight.expand_as(grad_composited)], dim=1)
        grad_hidden = torch.bmm(left, right).reshape(hidden.shape)
        # The slope of softplus in terms of its value: 1 - exp(-softplus(x)).
        grad_before = grad_hidden.mul_(torch.neg(hidden).expm1_().neg_())
        return (
            grad_before @ weight,
            (features.T @ grad_before).T,  # ten times faster than grad_before.T @ features
            grad_before.sum(dim=0),
            grad_density.reshape(-1) @ hidden,
            grad_density.sum(),
            None,
            None,
        )
