"""The adversarial loss of the regression: its gradient, its balance, what it learns, and that it resumes."""

import copy

import pytest
import torch
import torch.nn.functional as F

from panohead.ops.resize import filtered_resizing
from panohead.training.attribute_fit.adversarial import (
    AdversarialConfig,
    AdversarialLoss,
    fake_patches,
    real_patches,
)
from panohead.training.attribute_fit.images import ImageBatch, RenderedPatches, image_losses
from panohead.training.losses import DiscriminatorInput

SMALL = AdversarialConfig(channel_base=256, channel_max=16, share=0.3)


def pair(seed: int = 0, *, noise: float = 0.3) -> tuple[RenderedPatches, ImageBatch]:
    """Return true patches of 16^2 pixels (8^2 rays) and rendered ones that are the same with noise."""
    rng = torch.Generator().manual_seed(seed)
    image = torch.rand(4, 3, 16, 16, generator=rng) * 2 - 1
    mask = torch.rand(4, 1, 16, 16, generator=rng)
    offsets = torch.randint(0, 8, (4, 2), generator=rng)
    batch = ImageBatch(torch.randn(4, 25, generator=rng), offsets, image, mask, torch.ones_like(mask), 8)
    raw, weights = batch.at_rays()
    noisy = [x + noise * torch.randn(x.shape, generator=rng) for x in (image, raw, weights)]
    return RenderedPatches(*(x.requires_grad_() for x in noisy)), batch


@pytest.fixture
def adversarial() -> AdversarialLoss:
    torch.manual_seed(1)
    return AdversarialLoss(SMALL, patch=16)


def trunk_features(adversarial: AdversarialLoss, patches: DiscriminatorInput) -> list[torch.Tensor]:
    """Return the trunk's block outputs, from the inputs as PanoHead 3.2 stacks them."""
    size = patches.image.shape[-1]
    network = adversarial.discriminator
    raw, mask = (
        filtered_resizing(x, size, resample_filter=network.resample_filter) for x in (patches.image_raw, patches.mask)
    )
    x, image, found = None, torch.cat([patches.image, raw, mask * 2 - 1], dim=1), []
    for block in network.blocks.values():
        x, image = block(x, image)
        found.append(x)
    return found


def regression(rendered: RenderedPatches, batch: ImageBatch) -> torch.Tensor:
    losses = image_losses(rendered, batch)
    return losses["image"] + losses["image_detail"]


def test_term_has_the_gradient_of_the_loss_at_a_share_of_the_regression(adversarial: AdversarialLoss) -> None:
    rendered, batch = pair()
    term = adversarial.generator_term(rendered, batch, regression(rendered, batch))
    leaves = [rendered.image, rendered.image_raw, rendered.weights]
    found = torch.autograd.grad(term.surrogate, leaves)

    # The loss itself, back-propagated through the whole expression.
    fake, real = fake_patches(rendered, batch), real_patches(batch)
    logits = [x.logits(adversarial.discriminator) for x in (fake, real)]
    features = [trunk_features(adversarial, x) for x in (fake, real)]
    matching = sum(F.l1_loss(a, b) for a, b in zip(*features, strict=True)) / len(features[0])
    loss = F.softplus(logits[1] - logits[0]).mean() + SMALL.feature_weight * matching
    expected = torch.autograd.grad(loss, leaves)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other * term.values["adversarial_scale"], rtol=1e-4, atol=1e-9)
    (at_image,) = torch.autograd.grad(regression(rendered, batch), rendered.image)
    assert float(found[0].norm()) == pytest.approx(0.3 * float(at_image.norm()), rel=1e-4)


def test_term_leaves_the_discriminator_without_gradient(adversarial: AdversarialLoss) -> None:
    rendered, batch = pair()
    adversarial.generator_term(rendered, batch, regression(rendered, batch)).surrogate.backward()
    assert all(p.grad is None or p.grad.abs().max() == 0 for p in adversarial.discriminator.parameters())


def test_discriminator_learns_to_tell_pairs_apart(adversarial: AdversarialLoss) -> None:
    gaps = [adversarial.discriminator_step(*pair(seed, noise=0.8))["logit_gap"] for seed in range(40)]
    assert abs(gaps[0]) < 0.5
    assert sum(gaps[-10:]) / 10 > 0.2


def test_penalties_are_squared_gradients_at_real_and_rendered_patches() -> None:
    torch.manual_seed(1)
    strong = AdversarialLoss(AdversarialConfig(channel_base=256, channel_max=16, penalty=1.0, interval=1), patch=16)
    rendered, batch = pair()
    real = real_patches(batch)
    leaves = [x.clone().requires_grad_() for x in real.differentiable]
    gradients = torch.autograd.grad(strong.discriminator(*leaves, real.label).sum(), leaves)
    expected = sum(float(g.square().sum()) for g in gradients) / 4
    assert strong.discriminator_step(rendered, batch)["r1"] == pytest.approx(expected, rel=1e-4)


def test_resumed_loss_goes_on_as_before(adversarial: AdversarialLoss) -> None:
    adversarial.discriminator_step(*pair(0))
    rendered, batch = pair(1)
    adversarial.generator_term(rendered, batch, regression(rendered, batch))
    state = copy.deepcopy(adversarial.state_dict())
    torch.manual_seed(2)
    other = AdversarialLoss(SMALL, patch=16)
    other.load_state_dict(state)
    for seed in range(2, 11):
        assert adversarial.discriminator_step(*pair(seed)) == other.discriminator_step(*pair(seed))
