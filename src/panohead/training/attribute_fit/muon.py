"""Muon (Jordan et al. 2024): momentum whose singular values are all made one, for the weights of convolutions.

The orthogonalization runs in the space of the smaller side: with A = X X^T, each Newton-Schulz step multiplies X by a
polynomial of A, which commutes with A, so the products of the polynomials are formed first (small matrices) and meet X
once at the end. torch.optim.Muon takes matrices only and multiplies the whole X in every step.
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

_COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Of the quintic step of the reference: fast rather than exact, singular values end within about 0.7 to 1.2."""

_STEPS = 5


def orthogonalized(matrix: Float[Tensor, "row column"]) -> Float[Tensor, "row column"]:
    """The nearest semi-orthogonal matrix, roughly: the same singular vectors, singular values near 1."""
    a, b, c = _COEFFICIENTS
    wide = matrix.shape[0] <= matrix.shape[1]
    x = (matrix if wide else matrix.T) / matrix.norm().clamp_min(1e-12)
    gram = x @ x.T
    eye = torch.eye(len(gram), dtype=gram.dtype, device=gram.device)
    product = eye
    for _ in range(_STEPS):
        square = gram @ gram
        step = torch.add(a * eye, gram, alpha=b).add_(square, alpha=c)
        product = step @ product
        gram = step @ gram @ step
    out = product @ x
    return out if wide else out.T


class Muon(torch.optim.Optimizer):
    """Nesterov momentum, orthogonalized per weight (all but the first dimension flattened).

    The update's root mean square is the learning rate: weights of equalized layers are about 1, so 0.02 moves them by
    2 % a step.
    """

    def __init__(self, params: Iterable[Any], lr: float = 0.02, momentum: float = 0.95) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Move every weight that has a gradient."""
        del closure
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                state = self.state[weight]
                if not state:
                    state["momentum"] = torch.zeros_like(weight)
                mean = state["momentum"].lerp_(weight.grad, 1 - group["momentum"])
                update = orthogonalized(weight.grad.lerp(mean, group["momentum"]).flatten(1))
                # An orthonormal matrix of r x c entries has root mean square 1 / sqrt(max(r, c)).
                weight.add_(update.reshape(weight.shape), alpha=-group["lr"] * max(update.shape) ** 0.5)
