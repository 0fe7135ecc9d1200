"""Multi-view warm start: fit a generator to photos of people from several sides, before adversarial training.

Our own addition, not the paper's. Every person of a dataset has a latent code; patches of rays through the head that
the generator makes of this code are compared with the person's photos, in color (on white) and mask, coarse first. At
the end the distribution of the codes is folded into the mapping network, so that z ~ N(0, 1) draws people like those of
the dataset, and w_avg is set for truncation. Codes are learned with the weights (generative latent optimization,
Bojanowski et al. 2018), which converges faster than keeping the codes that they start from.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from panohead.limits import NumberRange
from panohead.models.generator import Generator
from panohead.models.generator_config import GeneratorConfig
from panohead.stylegan.alias_free import copy_magnitudes
from panohead.stylegan.layers import FullyConnected, normalize_second_moment
from panohead.stylegan.mapping import MappingNetwork
from panohead.system.bounds import Bounded, Count, NotNegative, Seed, Share, Side
from panohead.training.warm_start.initialization import (
    initialize_density,
    initialize_position_maps,
    noise_layers,
)
from panohead.training.warm_start.latent_codes import image_codes
from panohead.training.warm_start.multiview import MultiViewData
from panohead.training.warm_start.patches import (
    PatchBatch,
    PatchRendering,
    patch_losses,
    patch_rays,
    pick_patches,
    render_patches,
    super_resolve_patch,
)


@dataclass(frozen=True, kw_only=True)
class WarmStartConfig(Bounded):
    """Settings of a fit.

    Attributes:
        generator: architecture of the generator; a run sets its own.
        steps: length of the fit; the learning rates fall over its last ``decay_fraction``.
        coarse_steps: number of first steps on whole images of ``patch`` pixels; later ones are on patches of the raw
            resolution.
        people_per_step, views_per_person: number of people per step and of views of each.
        patch: rays per side of a patch.
        coarse_samples, fine_samples: depths per ray, without and with gradient.
        learning_rate, code_learning_rate, mapping_learning_rate: Adam's learning rates of networks, codes and mapping
            network (whose weights are stored times 100 and used times 0.01, so that it needs a larger one).
        position_map_learning_rate: learning rate of the backbone's constant noise maps, which are fitted too where it
            has them: a direct way to learn positions that all heads share (eyes, mouth), which convolutions learn
            slowly.
        learn_codes: False keeps the initial codes.
        warmup_steps: number of first steps over which the learning rates rise.
        decay_fraction: fraction of the steps, at the end, over which the learning rates fall.
        ema_decay: decay of the generator's moving average per step.
        density_gain: scale of the density row of the decoder at the start; with a larger one surfaces form sooner.
        mask_weight, detail_weight, picture_weight: weights of the mask's cross-entropy, of the differences between
            neighboring pixels, and of the super-resolved image; raw colors have weight 1.
        seed: seed of weights, codes and all random numbers.
    """

    generator: GeneratorConfig = field(default_factory=GeneratorConfig)
    steps: Count = 6000
    coarse_steps: Count = 800
    people_per_step: Annotated[int, NumberRange(1, 65536)] = 4
    views_per_person: Annotated[int, NumberRange(1, 1000)] = 2
    patch: Side = 32
    coarse_samples: Side = 14
    fine_samples: Annotated[int, NumberRange(0, 2048)] = 10
    learning_rate: NotNegative = 3e-3
    code_learning_rate: NotNegative = 2e-2
    mapping_learning_rate: NotNegative = 4e-2
    position_map_learning_rate: NotNegative = 1e-2
    learn_codes: bool = True
    warmup_steps: Count = 100
    decay_fraction: Share = 0.3
    ema_decay: Share = 0.998
    density_gain: NotNegative = 30.0
    mask_weight: NotNegative = 0.3
    detail_weight: NotNegative = 1.0
    picture_weight: NotNegative = 1.0
    seed: Seed = 0


class WarmStart:
    """A fit in progress: generator, its moving average, codes, optimizers and random numbers; resumable."""

    def __init__(self, config: WarmStartConfig, people: int) -> None:
        self.config = config
        self.rng = torch.Generator().manual_seed(config.seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            self.generator = Generator(config.generator)
            self.codes = nn.Embedding(people, config.generator.z_dim, sparse=True)
        # The average is copied after the initialization, so that both start from the same field.
        initialize_density(self.generator, config.density_gain)
        initialize_position_maps(self.generator)
        self.average = copy.deepcopy(self.generator).eval().requires_grad_(False)
        self._position_maps = [layer.noise_const.requires_grad_() for layer in noise_layers(self.generator)]
        mapping = list(self.generator.mapping_network.parameters())
        mapping_ids = {id(p) for p in mapping}
        others = [p for p in self.generator.parameters() if id(p) not in mapping_ids and p.requires_grad]
        groups: list[tuple[Sequence[Tensor], float]] = [
            (others, config.learning_rate),
            (mapping, config.mapping_learning_rate),
        ]
        if self._position_maps:
            groups.append((self._position_maps, config.position_map_learning_rate))
        self._rates = tuple(rate for _, rate in groups)
        self.optimizer = torch.optim.Adam([{"params": group} for group, _ in groups], betas=(0.9, 0.99))
        self.code_optimizer = torch.optim.SparseAdam(list(self.codes.parameters()))
        self.step_count = 0

    @torch.no_grad()
    def start_codes(self, data: MultiViewData) -> None:
        """Initialize the codes from the people's appearance instead of random numbers."""
        self.codes.weight.copy_(image_codes(data, self.config.generator.z_dim, self.rng))

    def state_dict(self) -> dict[str, Any]:
        """Return everything that the next steps depend on. The keys are a file format and keep their first names."""
        return {
            "step_count": self.step_count,
            "rng": self.rng.get_state(),
            "generator": self.generator.state_dict(),
            "average": self.average.state_dict(),
            "codes": self.codes.state_dict(),
            "optimiser": self.optimizer.state_dict(),
            "code_optimiser": self.code_optimizer.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Load what ``state_dict`` returned, so that the fit resumes exactly."""
        self.step_count = state["step_count"]
        self.rng.set_state(state["rng"])
        for name in ("generator", "average", "codes"):
            getattr(self, name).load_state_dict(state[name])
        self.optimizer.load_state_dict(state["optimiser"])
        self.code_optimizer.load_state_dict(state["code_optimiser"])

    def step(self, data: MultiViewData) -> dict[str, float]:
        """Take one step of gradient descent and return the losses by name."""
        self._set_rates()
        config = self.config
        full = config.generator.neural_rendering_resolution
        batch = pick_patches(
            data,
            people=config.people_per_step,
            views=config.views_per_person,
            patch=config.patch,
            resolution=config.patch if self.step_count < config.coarse_steps else full,
            rng=self.rng,
        )
        losses = patch_losses(
            batch,
            self.render(batch),
            detail_weight=config.detail_weight,
            mask_weight=config.mask_weight,
            picture_weight=config.picture_weight,
        )
        self.optimizer.zero_grad(set_to_none=True)
        self.code_optimizer.zero_grad(set_to_none=True)
        losses["total"].backward()
        self.optimizer.step()
        if self.config.learn_codes:
            self.code_optimizer.step()
        self.step_count += 1
        self._update_average()
        return {name: float(value.detach()) for name, value in losses.items()}

    def render(self, batch: PatchBatch) -> PatchRendering:
        """Render a batch of patches, with gradients."""
        generator, people = self.generator, len(batch.person)
        views = len(batch.labels) // people
        ws = generator.mapping(self.codes(batch.person), batch.labels[::views])  # people num_ws w_dim
        field = generator.trigrid(ws)
        origins, directions = patch_rays(batch, self.config.patch)  # people*view ray 3
        # Rays of all views of a person form one sample, so that they share its tri-grid.
        features, weights = render_patches(
            field,
            origins.reshape(people, -1, 3),
            directions.reshape(people, -1, 3),
            self.config.generator.rendering,
            coarse_samples=self.config.coarse_samples,
            fine_samples=self.config.fine_samples,
            rng=self.rng,
        )
        shape = (len(batch.labels), self.config.patch, self.config.patch, -1)
        # people*view channel height width
        features, weights = (x.reshape(shape).permute(0, 3, 1, 2) for x in (features, weights))
        view_ws = ws.repeat_interleave(views, dim=0)  # people*view num_ws w_dim
        assert generator.torgb_raw is not None
        raw = generator.torgb_raw(features, view_ws[:, -1], fused=False)
        # Coarse steps render whole views of few rays, which super-resolution was not made for.
        if batch.resolution < self.config.generator.neural_rendering_resolution:
            return PatchRendering(raw, weights, None)
        return PatchRendering(raw, weights, super_resolve_patch(generator, raw, features, view_ws))

    @torch.no_grad()
    def finished(self) -> Generator:
        """Return the averaged generator, ready to sample: z ~ N(0, 1) follows the codes, w_avg is the mean of w."""
        generator = copy.deepcopy(self.average).eval()
        if self.config.learn_codes:
            fold_codes(generator, self.codes.weight.detach())
        rng = torch.Generator().manual_seed(self.config.seed)
        z = torch.randn(10_000, self.config.generator.z_dim, generator=rng)
        ws = generator.mapping(z, torch.zeros(len(z), 25))  # 10000 num_ws w_dim, all rows of a sample alike
        generator.mapping_network.w_avg.copy_(ws[:, 0].mean(dim=0))
        return generator

    def _set_rates(self) -> None:
        factor = rate_factor(self.config, self.step_count)
        for group, rate in zip(self.optimizer.param_groups, self._rates, strict=True):
            group["lr"] = rate * factor
        for group in self.code_optimizer.param_groups:
            group["lr"] = self.config.code_learning_rate * factor

    @torch.no_grad()
    def _update_average(self) -> None:
        # Early on a slow average would still contain the random initialization: let it follow closely at first.
        decay = min(self.config.ema_decay, 1 - 1 / self.step_count)
        pairs = zip(self.average.parameters(), self.generator.parameters(), strict=True)
        maps = zip((layer.noise_const for layer in noise_layers(self.average)), self._position_maps, strict=True)
        copy_magnitudes(self.average, self.generator)
        for mean, value in (*pairs, *maps):
            mean.lerp_(value, 1 - decay)


def rate_factor(config: WarmStartConfig, step: int) -> float:
    """Return the factor of the learning rates at a step: linear rise, plateau, linear fall to a fiftieth."""
    remaining = (config.steps - step) / (config.steps * config.decay_fraction)
    return min(1.0, (step + 1) / config.warmup_steps, max(0.02, remaining))


@torch.no_grad()
def fold_codes(generator: Generator, codes: Float[Tensor, "person z_dim"]) -> None:
    """Compose the mapping network's first layer with the map from N(0, 1) to the codes' mean and covariance, in place.

    Afterwards a normal z has the meaning that a z of the codes' distribution had before.
    """
    normalized = normalize_second_moment(codes)
    mean = normalized.mean(dim=0)
    values, vectors = torch.linalg.eigh(torch.cov(normalized.T))
    # Square root of the covariance: z -> root z + mean has the codes' first two moments.
    root = vectors * values.clamp_min(0).sqrt() @ vectors.T  # z_dim z_dim
    assert isinstance(generator.mapping_network, MappingNetwork)
    layer = generator.mapping_network.layers["fc0"]
    assert isinstance(layer, FullyConnected)
    assert layer.bias is not None
    width = codes.shape[1]
    old = layer.weight[:, :width].clone()
    # W (root z + mean) + b = (W root) z + (W mean + b); a label's columns of W, if any, are not touched.
    layer.weight[:, :width] = old @ root
    # Stored weights and biases are multiplied by their gains when used, so the ratio of the gains enters.
    layer.bias.add_((old @ mean) * (layer.weight_gain / layer.bias_gain))
