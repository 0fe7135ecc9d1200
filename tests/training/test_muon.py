"""Muon against its definition by singular values."""

import pytest
import torch
from torch import nn

from panohead.training.muon import Muon, orthogonalized


@pytest.mark.parametrize("shape", [(24, 40), (40, 24), (32, 32)])
def test_orthogonalized_keeps_singular_vectors_and_levels_singular_values(shape: tuple[int, int]) -> None:
    rng = torch.Generator().manual_seed(3)
    matrix = torch.randn(*shape, generator=rng, dtype=torch.float64)
    u, values, v = torch.linalg.svd(matrix, full_matrices=False)
    found = u.T @ orthogonalized(matrix) @ v.T
    levelled = found.diagonal()
    assert (found - torch.diag(levelled)).abs().max() < 1e-5
    large = values > 0.05 * values.norm()
    assert large.sum() > 10
    assert (levelled[large] > 0.6).all()
    assert (levelled < 1.25).all()


def test_one_square_matrix_takes_the_place_of_the_plain_iteration() -> None:
    rng = torch.Generator().manual_seed(5)
    matrix = torch.randn(16, 144, generator=rng) @ torch.diag(torch.linspace(0.01, 1, 144))
    plain = matrix / matrix.norm()
    for _ in range(5):
        gram = plain @ plain.T
        plain = 3.4445 * plain + (-4.7750 * gram + 2.0315 * gram @ gram) @ plain
    assert torch.allclose(orthogonalized(matrix), plain, atol=1e-5)


def test_convolutions_are_matrices_of_their_output_channels() -> None:
    rng = torch.Generator().manual_seed(1)
    gradient = torch.randn(16, 4, 3, 3, generator=rng)
    weight = nn.Parameter(torch.zeros(16, 4, 3, 3))
    weight.grad = gradient
    Muon([weight], lr=0.01, momentum=0.0).step()
    expected = -0.01 * 0.2 * 6.0 * orthogonalized(gradient.flatten(1))  # 6 = sqrt(36)
    assert torch.allclose(weight.flatten(1), expected)
    assert float(weight.detach().square().mean().sqrt()) == pytest.approx(0.002, rel=0.2)


def test_only_matrices_are_taken() -> None:
    with pytest.raises(ValueError, match=r"not a parameter of shape \(3,\)"):
        Muon([nn.Parameter(torch.zeros(3))])


def test_a_badly_scaled_regression_is_solved_sooner_than_by_momentum() -> None:
    rng = torch.Generator().manual_seed(0)
    scale = torch.logspace(-2, 0, 24)
    inputs = torch.randn(256, 24, generator=rng) * scale
    truth = torch.randn(16, 24, generator=rng)

    def error_after(make: type[torch.optim.Optimizer], **options: float) -> float:
        weight = nn.Parameter(torch.zeros(16, 24))
        optimizer = make([weight], **options)  # type: ignore[call-arg]
        for _ in range(150):
            optimizer.zero_grad()
            (inputs @ (weight - truth).T).square().mean().backward()
            optimizer.step()
        return float((weight - truth).detach().square().mean())

    assert error_after(Muon, lr=0.1) < 0.5 * error_after(torch.optim.SGD, lr=1.0, momentum=0.95)
