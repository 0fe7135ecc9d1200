"""Muon: gradient descent with momentum, orthogonalized per weight matrix.

Jordan et al., "Muon: An optimizer for hidden layers in neural networks" (2024), with the size of updates of Liu et
al., "Muon is Scalable for LLM Training" (2025). ``torch.optim.Muon`` takes matrices alone; here convolutions are
matrices, too.
"""

from collections.abc import Callable, Iterable
from typing import Any, overload

import torch
from jaxtyping import Float
from torch import Tensor, nn

_COEFFICIENTS = 3.4445, -4.7750, 2.0315
"""Quintic polynomial whose iteration takes singular values from (0, 1] to about 1 (0.7 to 1.2) soonest."""

_ITERATIONS = 5

_UPDATE_SIZE = 0.2
"""Root mean square of an update per unit of learning rate: about that of Adam, whose learning rates therefore serve."""


class Muon(torch.optim.Optimizer):
    """Optimizer of weight matrices and convolutions (out in height width, a matrix of ``out`` rows).

    Args:
        params: parameters of at least two dimensions, or groups of them.
        lr: learning rate, like Adam's.
        momentum: decay of the running mean of gradients.

    Raises:
        ValueError: for a parameter of fewer dimensions.
    """

    def __init__(
        self, params: Iterable[nn.Parameter] | Iterable[dict[str, Any]], lr: float = 1e-3, momentum: float = 0.95
    ) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum})
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.ndim < 2:
                    raise ValueError(f"Muon takes matrices, not a parameter of shape {tuple(parameter.shape)}")

    @overload
    def step(self, closure: None = None) -> None: ...
    @overload
    def step(self, closure: Callable[[], float]) -> float: ...
    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """Take one step."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    mean = self.state[parameter].setdefault("mean", torch.zeros_like(parameter))
                    mean.lerp_(parameter.grad, 1 - group["momentum"])
                    # Nesterov's momentum
                    direction = orthogonalized(parameter.grad.lerp(mean, group["momentum"]).flatten(1))
                    size = _UPDATE_SIZE * max(direction.shape) ** 0.5
                    parameter.add_(direction.view_as(parameter), alpha=-group["lr"] * size)
        return loss


def orthogonalized(matrix: Float[Tensor, "row column"]) -> Float[Tensor, "row column"]:
    """Return a matrix of the same singular vectors whose singular values are about 1.

    The iteration X <- (a + b X X^T + c (X X^T)^2) X only multiplies from the left, by polynomials of the first X X^T.
    So it runs on that small square matrix: of a convolution's gradient (256 x 2304), at a quarter of the cost.
    """
    if matrix.shape[0] > matrix.shape[1]:
        return orthogonalized(matrix.T).T
    a, b, c = _COEFFICIENTS
    matrix = matrix / (matrix.norm() + 1e-7)
    gram = matrix @ matrix.T
    factor: Tensor | None = None
    for number in range(_ITERATIONS):
        polynomial = torch.addmm(gram, gram, gram, beta=b, alpha=c)
        polynomial.diagonal().add_(a)
        factor = polynomial if factor is None else polynomial @ factor
        if number + 1 < _ITERATIONS:
            gram = polynomial @ gram @ polynomial
            gram = (gram + gram.T) / 2  # rounding would let the two halves drift apart
    assert factor is not None
    return factor @ matrix
