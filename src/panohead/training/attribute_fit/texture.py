"""Training of super-resolution alone against the discriminator, after the fit: what is finer than the rays.

Raw renderings are kept (:class:`RenderedViews`), so a step has neither a backbone nor rays. Super-resolution learns to
turn the noise on surfaces (:class:`SurfaceTexture`, where there is one) into texture that the discriminator cannot tell
from the true one, and sharper faces; the detail of hair (:class:`SurfaceDetail`) stays as it is. The regression of
colors over 8 x 8 pixels and, weakly, of single pixels keeps what is known.
"""

import copy
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from panohead.models.generator import Generator
from panohead.models.surface_detail import with_detail
from panohead.system.bounds import Bounded, Natural, NotNegative
from panohead.training.attribute_fit.adversarial import AdversarialConfig, AdversarialLoss, coarse_loss
from panohead.training.attribute_fit.images import RenderedPatches, color_loss, detail_loss
from panohead.training.attribute_fit.rendered_views import RenderedViews, sample_views
from panohead.training.warm_start.patches import super_resolve_patch


@dataclass(frozen=True, kw_only=True)
class TextureConfig(Bounded):
    """Settings.

    Attributes:
        patches_per_step: patches per step, each of another view.
        patch: rays per side of a patch.
        learning_rate, texture_rate: Adam's learning rates of super-resolution and of the texture's layer.
        color_weight, detail_weight: weights of the regression of single pixels.
        ema_decay: decay of the running average of the weights.
        adversarial: settings of the discriminator, and the weight of the regression of colors over 8 x 8 pixels.
    """

    patches_per_step: Natural = 8
    patch: Natural = 32
    learning_rate: NotNegative = 1e-3
    texture_rate: NotNegative = 5e-3
    color_weight: NotNegative = 0.5
    detail_weight: NotNegative = 0.2
    ema_decay: NotNegative = 0.998
    adversarial: AdversarialConfig = field(default_factory=AdversarialConfig)
    seed: int = 0


class TextureFit:
    """A training in progress; resumable. The generator's super-resolution and texture are trained in place."""

    def __init__(self, config: TextureConfig, generator: Generator) -> None:
        self.config, self.generator = config, generator
        self.rng = torch.Generator().manual_seed(config.seed)
        texture = generator.surface_texture
        self.trained = nn.ModuleList([generator.superresolution, *([] if texture is None else [texture])])
        self.trained.requires_grad_(True)
        self.average = copy.deepcopy(self.trained).requires_grad_(False)
        self._rates = (config.learning_rate, config.texture_rate)[: len(self.trained)]
        groups = [{"params": list(m.parameters()), "lr": r} for m, r in zip(self.trained, self._rates, strict=True)]
        self.optimizer = torch.optim.Adam(groups, betas=(0.0, 0.99))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            self.adversarial = AdversarialLoss(config.adversarial, patch=config.patch * generator.config.pixels_per_ray)
            # The layer would have no gradient where noise and image are independent: a small random start.
            if texture is not None:
                weight = texture.weight
                with torch.no_grad():
                    weight.add_(torch.randn_like(weight).mul_(0.02) * (weight == 0).all(dim=0))
        self.step_count = 0
        self.rate_factor = 1.0
        """Factor of the learning rates of super-resolution and texture."""

    def step(self, views: RenderedViews) -> dict[str, float]:
        """Take one step of generator and discriminator and return the losses by name."""
        config, generator = self.config, self.generator
        for group, rate in zip(self.optimizer.param_groups, self._rates, strict=True):
            group["lr"] = rate * self.rate_factor
        batch = sample_views(
            views,
            count=config.patches_per_step,
            patch=config.patch,
            num_ws=generator.num_ws,
            rng=self.rng,
        )
        features = batch.features
        if generator.surface_texture is not None:
            features = features + torch.einsum("pnhw,cn->pchw", batch.noise, generator.surface_texture.weight)
        image = super_resolve_patch(generator, batch.raw, features, batch.ws)
        if generator.surface_detail is not None:
            image = with_detail(image, batch.detail)
        rendered = RenderedPatches(image, batch.raw, batch.weights)
        pixels = batch.truth.importance
        losses = {
            "image": config.color_weight * (pixels * color_loss(image, batch.truth.image)).mean(),
            "image_detail": config.detail_weight * detail_loss(image, batch.truth.image, pixels),
            "coarse": config.adversarial.coarse_weight * coarse_loss(rendered, batch.truth),
        }
        regression = torch.stack(list(losses.values())).sum()
        term = self.adversarial.generator_term(rendered, batch.truth, regression)
        values = {name: float(value.detach()) for name, value in losses.items()}
        values |= term.values | self.adversarial.discriminator_step(rendered, batch.truth)
        self.optimizer.zero_grad(set_to_none=True)
        (regression + term.surrogate).backward()
        self.optimizer.step()
        self.step_count += 1
        self._update_average()
        return values

    @torch.no_grad()
    def _update_average(self) -> None:
        averaged: list[Tensor] = list(self.average.parameters())
        current = [x.detach() for x in self.trained.parameters()]
        torch._foreach_lerp_(averaged, current, 1 - self.config.ema_decay)

    def state_dict(self) -> dict[str, Any]:
        """Return everything that the next steps depend on."""
        return {
            "step_count": self.step_count,
            "rng": self.rng.get_state(),
            "trained": self.trained.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "adversarial": self.adversarial.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Resume exactly from a ``state_dict``."""
        self.step_count = state["step_count"]
        self.rng.set_state(state["rng"])
        for name in ("trained", "average", "optimizer", "adversarial"):
            getattr(self, name).load_state_dict(state[name])
