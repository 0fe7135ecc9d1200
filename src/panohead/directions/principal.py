"""Principal directions of w: those in which heads differ most, and those to which the layers respond most."""

import torch
from jaxtyping import Float
from torch import Tensor

from panohead.geometry import Camera
from panohead.models.generator import Generator
from panohead.stylegan.alias_free import AliasFreeLayer
from panohead.stylegan.synthesis_layers import SynthesisLayer


@torch.no_grad()
def sampled_ws(generator: Generator, count: int, *, seed: int) -> Float[Tensor, "head w_dim"]:
    """Return w of random heads of the front camera, without truncation."""
    rng = torch.Generator().manual_seed(seed)
    device = next(generator.parameters()).device
    z = torch.randn(count, generator.config.z_dim, generator=rng).to(device)
    label = Camera.orbit().expand(1).to(device).to_label().expand(count, -1)
    return torch.cat([generator.mapping(a, b)[:, 0] for a, b in zip(z.split(1024), label.split(1024), strict=True)])


def ganspace_directions(ws: Float[Tensor, "head w_dim"], count: int) -> Float[Tensor, "direction w_dim"]:
    """Return principal components of w, each as long as the standard deviation along it (Harkonen et al. 2020)."""
    centered = ws - ws.mean(dim=0)
    _, singular, components = torch.linalg.svd(centered, full_matrices=False)
    deviation = singular / max(len(ws) - 1, 1) ** 0.5
    return _signed(components[:count] * deviation[:count, None])


@torch.no_grad()
def sefa_directions(
    generator: Generator, ws: Float[Tensor, "head w_dim"], count: int
) -> Float[Tensor, "direction w_dim"]:
    """Return the directions to which the styles of the tri-grid's layers respond most (Shen and Zhou 2021).

    They are the eigenvectors of A^T A, A being all layers' weights from w to style, each as long as the standard
    deviation of w along it.
    """
    generator.require_trigrid("the method sefa")
    layers = (m for m in generator.backbone.modules() if isinstance(m, SynthesisLayer | AliasFreeLayer))
    weights = [layer.affine.weight for layer in layers]
    stacked = torch.cat([weight / weight.norm(dim=1, keepdim=True).clamp_min(1e-12) for weight in weights])
    _, vectors = torch.linalg.eigh(stacked.T @ stacked)
    directions = vectors.T.flip(0)[:count]  # the largest eigenvalues first
    deviation = ((ws - ws.mean(dim=0)) @ directions.T).std(dim=0)
    return _signed(directions * deviation[:, None])


def _signed(directions: Float[Tensor, "direction w_dim"]) -> Float[Tensor, "direction w_dim"]:
    """Return directions whose largest number is positive: a sign that does not depend on the library."""
    largest = directions.gather(1, directions.abs().argmax(dim=1, keepdim=True))
    return directions * torch.where(largest < 0, -1.0, 1.0)
