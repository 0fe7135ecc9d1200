"""The fit itself: generator, attribute encoder and residual codes against all views of all shots."""

import copy
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from panohead.attributes import AttributeEncoder, Vocabulary
from panohead.models.deformation import Deformation
from panohead.models.generator import Generator
from panohead.models.generator_config import GeneratorConfig
from panohead.stylegan.alias_free import copy_magnitudes
from panohead.system.bounds import Bounded
from panohead.training.attribute_fit.adversarial import FINE_LOSSES, AdversarialConfig, AdversarialLoss, coarse_loss
from panohead.training.attribute_fit.deformations import start_from_people
from panohead.training.attribute_fit.images import (
    ImageBatch,
    RenderedPatches,
    image_losses,
    render_patches,
    sample_patches,
)
from panohead.training.attribute_fit.points import point_losses, sample_points
from panohead.training.attribute_fit.shots import Shots
from panohead.training.muon import Muon
from panohead.training.warm_start.initialization import (
    initialize_density,
    initialize_position_maps,
    noise_layers,
)


@dataclass(frozen=True, kw_only=True)
class FitConfig(Bounded):
    """Settings of a fit.

    Attributes:
        vocabulary: the attributes of the shots.
        people: number of people with a residual code.
        shots_per_step: heads per step.
        points_per_view: pixels per view whose points are supervised; 0 for none.
        patches_per_step: heads per step of which a patch is rendered.
        patch: rays per side of a patch.
        learning_rate, map_rate, position_rate, encoder_rate, residual_rate: learning rates of the generator, the
            backbone's constant noise maps and position maps, the attribute encoder and the residual codes. Weight
            matrices and convolutions are fitted by Muon, everything else by Adam.
        muon_factor: factor of the learning rates of what Muon fits.
        weights: weights of the losses by name.
        residual_dropout: share of the heads of a step that are rendered from their attributes alone, so that
            residual codes hold only what attributes cannot tell, and people without a code look as they can.
        worn_weight: how much more often people with glasses or headwear are taken than others; each kind is seen on a
            few people of a hundred.
        deformation_rate: learning rate of the deformation's coefficients.
        known_deformation: share of the heads of a step that are rendered with their known deformation instead of the
            predicted one, so that what is learned of colors does not depend on how well shapes are predicted yet.
        adversarial: settings of the adversarial loss, which starts with :meth:`AttributeFit.add_adversarial_loss`.
        ema_decay: decay of the running average of all weights, reached after a warm-up.
        density_gain: scale of the decoder's density row at the start.
    """

    generator: GeneratorConfig = field(default_factory=GeneratorConfig)
    vocabulary: Vocabulary
    people: int
    shots_per_step: int = 8
    points_per_view: int = 384
    patches_per_step: int = 4
    patch: int = 32
    learning_rate: float = 3e-3
    map_rate: float = 2e-2
    position_rate: float = 1e-2
    encoder_rate: float = 1.5e-3
    residual_rate: float = 1e-2
    muon_factor: float = 1.0
    warmup_steps: int = 50
    weights: dict[str, float] = field(
        default_factory=lambda: {
            "occupancy": 2.0,
            "surface_color": 4.0,
            "raw": 2.0,
            "raw_detail": 1.0,
            "mask": 0.3,
            "image": 2.0,
            "image_detail": 1.0,
            "residual": 3e-3,
            "deformation": 1.0,
        }
    )
    residual_dropout: float = 0.9
    worn_weight: float = 2.0
    deformation_rate: float = 1e-2
    known_deformation: float = 0.5
    adversarial: AdversarialConfig = field(default_factory=AdversarialConfig)
    ema_decay: float = 0.999
    density_gain: float = 30.0
    seed: int = 0


class HeadModel(nn.Module):
    """Generator, attribute encoder, and one residual code per person."""

    def __init__(self, config: FitConfig) -> None:
        super().__init__()
        self.generator = Generator(config.generator)
        self.encoder = AttributeEncoder.of_vocabulary(config.vocabulary, w_dim=config.generator.w_dim)
        self.residual = nn.Embedding(config.people, self.encoder.config.residual)
        # Zero is the code of the mean person, also for held-out people.
        nn.init.zeros_(self.residual.weight)

    def ws(
        self,
        attributes: Float[Tensor, "head attribute"],
        person: Int[Tensor, " head"] | None,
        *,
        known: Bool[Tensor, " head"] | None = None,
    ) -> Tensor:
        """Map attributes and people to ws (head num_ws w_dim).

        Args:
            person: index of the residual code of every head; None for people without one.
            known: heads whose residual code is used; the others get the mean person's. None for all.
        """
        residual = None if person is None else self.residual(person)
        if residual is not None and known is not None:
            residual = residual * known[:, None]
        w = self.encoder(attributes, residual)  # head w_dim
        # One w for all layers.
        return w[:, None].expand(-1, self.generator.num_ws, -1)


@dataclass(frozen=True)
class RegressionStep:
    """Unweighted losses by name, and the patches that they were taken of."""

    losses: dict[str, Tensor]
    rendered: RenderedPatches | None = None
    batch: ImageBatch | None = None


class AttributeFit:
    """A fit in progress: networks, running average, optimizer and random numbers; resumable.

    Args:
        device: device of the networks; the shots given to :meth:`step` must be there too.
    """

    def __init__(self, config: FitConfig, device: str = "cpu") -> None:
        self.config, self.device = config, device
        self.rng = torch.Generator(device).manual_seed(config.seed)
        # Initialization draws from torch's global generator; its state is restored afterwards.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            self.model = HeadModel(config)
        initialize_density(self.model.generator, config.density_gain)
        initialize_position_maps(self.model.generator)
        self.model.to(device)
        self.average = copy.deepcopy(self.model).eval().requires_grad_(False)
        matrices, others = self._groups()
        self.muon = Muon(matrices)
        self.optimizer = torch.optim.Adam(others, betas=(0.9, 0.99))
        self._base_rates = [group["lr"] for group in self._all_groups()]
        self.step_count = 0
        self.rate_factor = 1.0
        self.sharpness = 1.0
        self.adversarial: AdversarialLoss | None = None

    def add_adversarial_loss(self) -> None:
        """Add the adversarial loss to the next steps, with an untrained discriminator, unless there is one."""
        if self.adversarial is None:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(self.config.seed)
                patch = self.config.patch * self.config.generator.pixels_per_ray
                self.adversarial = AdversarialLoss(self.config.adversarial, patch=patch, device=self.device)

    def set_sharpness(self, sharpness: float) -> None:
        """Scale all densities, relative to those of an untrained fit, without changing what is solid.

        Where a surface lies is uncertain (hair above all), and the loss of occupancy makes density a probability: fog.
        Scaled, it turns opaque where the probability passes one half. Fog at first leads to surfaces sooner.
        """
        with torch.no_grad():
            for model in (self.model, self.average):
                for parameter in model.generator.decoder.output.parameters():
                    parameter[0].mul_(sharpness / self.sharpness)
        self.sharpness = sharpness

    def start_deformation(self, data: Shots) -> None:
        """Set the directions of the deformation to those of the shots' known ones, unless it has some already."""
        if data.offsets is not None:
            for model in (self.model, self.average):
                module = model.generator.deformation
                if module is not None and not module.offsets.weight.any():
                    start_from_people(module, data.offsets)

    def _groups(self) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """Return the parameters that Muon fits, and those that Adam fits, with their learning rates."""
        generator, config = self.model.generator, self.config
        maps = [layer.noise_const.requires_grad_() for layer in noise_layers(generator)]
        positions = [p for name, p in generator.backbone.named_parameters() if name.endswith("position_map")]
        deformation: list[nn.Parameter] = []
        if generator.deformation is not None:
            # Its directions are the principal ones of people.
            generator.deformation.offsets.requires_grad_(False)
            deformation = list(generator.deformation.coefficients.parameters())
        apart = {id(p) for p in (*generator.mapping_network.parameters(), *positions, *deformation)}
        networks = [
            ([p for p in generator.parameters() if id(p) not in apart and p.requires_grad], config.learning_rate),
            (list(self.model.encoder.parameters()), config.encoder_rate),
            (deformation, config.deformation_rate),
        ]
        matrices = [
            {"params": [p for p in params if _is_wide(p)], "lr": rate * config.muon_factor} for params, rate in networks
        ]
        others = [{"params": [p for p in params if not _is_wide(p)], "lr": rate} for params, rate in networks]
        others += [
            {"params": maps, "lr": config.map_rate},
            {"params": positions, "lr": config.position_rate},
            {"params": list(self.model.residual.parameters()), "lr": config.residual_rate},
        ]
        return matrices, others

    def _all_groups(self) -> list[dict[str, Any]]:
        return [*self.muon.param_groups, *self.optimizer.param_groups]

    def step(self, data: Shots) -> dict[str, float]:
        """Take one step of gradient descent and return the losses by name."""
        config = self.config
        factor = self.rate_factor * min(1.0, (self.step_count + 1) / config.warmup_steps)
        for group, rate in zip(self._all_groups(), self._base_rates, strict=True):
            group["lr"] = rate * factor
        shots = torch.multinomial(self._chances(data), min(config.shots_per_step, data.count), generator=self.rng)
        found = self.losses(data, shots)
        total = self._weighted(found.losses)
        values = {name: float(value.detach()) for name, value in found.losses.items()}
        if self.adversarial is not None and found.rendered is not None and found.batch is not None:
            image = self._weighted({name: found.losses[name] for name in ("image", "image_detail", "coarse")})
            term = self.adversarial.generator_term(found.rendered, found.batch, image)
            total = total + term.surrogate
            values |= term.values | self.adversarial.discriminator_step(found.rendered, found.batch)
        self.model.zero_grad(set_to_none=True)
        total.backward()
        self.muon.step()
        self.optimizer.step()
        self.step_count += 1
        self._update_average()
        return values

    def _chances(self, data: Shots) -> Float[Tensor, " shot"]:
        """Return how often each shot is taken, relative to the others."""
        names = self.config.vocabulary.names
        without = [names.index(f"{what}=none") for what in ("glasses", "headwear")]
        bare = data.attributes[:, without].min(dim=1).values  # 1 without both, 0 with one
        return bare + self.config.worn_weight * (1 - bare)

    def _weighted(self, losses: dict[str, Tensor]) -> Float[Tensor, ""]:
        return torch.stack([self._weight(name) * value for name, value in losses.items()]).sum()

    def _weight(self, name: str) -> float:
        adversarial = self.config.adversarial
        if name == "coarse":
            return adversarial.coarse_weight
        shared = self.adversarial is not None and name in FINE_LOSSES
        return self.config.weights[name] * (adversarial.fine_share if shared else 1.0)

    def losses(self, data: Shots, shots: Int[Tensor, " head"]) -> "RegressionStep":
        """Return all regression losses of one batch of shots, unweighted."""
        config, generator = self.config, self.model.generator
        known = torch.rand(len(shots), generator=self.rng, device=self.device) >= config.residual_dropout
        ws = self.model.ws(data.attributes[shots], data.person[shots], known=known)
        trigrid = generator.trigrid(ws)
        losses = {"residual": self.model.residual(data.person[shots]).square().mean()}
        if trigrid.deformation is not None and data.offsets is not None:
            known_offsets = data.offsets[shots].float()
            difference = Deformation.normalized(trigrid.deformation) - Deformation.normalized(known_offsets)
            losses["deformation"] = difference.square().mean()
            # Images would move places only to hide what the tri-grid has not learned yet.
            chosen = torch.rand(len(shots), generator=self.rng, device=self.device) < config.known_deformation
            predicted = trigrid.deformation.detach()
            deformation = torch.where(chosen[:, None, None, None, None], known_offsets, predicted)
            trigrid = replace(trigrid, deformation=deformation)
        assert generator.torgb_raw is not None
        pixels = config.points_per_view
        if self.adversarial is not None:
            pixels = min(pixels, config.adversarial.points_per_view)
        if pixels:
            rendering = config.generator.rendering
            limits = (float(rendering.ray_start), float(rendering.ray_end))
            points = sample_points(data, shots, pixels=pixels, ray_range=limits, rng=self.rng)
            losses |= point_losses(trigrid, generator.torgb_raw, ws[:, -1], points, sharpness=self.sharpness)
        if not config.patches_per_step:
            return RegressionStep(losses)
        few = slice(0, config.patches_per_step)
        batch = sample_patches(
            data, shots[few], rays=config.generator.neural_rendering_resolution, patch=config.patch, rng=self.rng
        )
        rendered = render_patches(generator, trigrid.select(few), ws[few], batch, patch=config.patch, rng=self.rng)
        losses |= image_losses(rendered, batch)
        if self.adversarial is not None:
            losses["coarse"] = coarse_loss(rendered, batch)
        return RegressionStep(losses, rendered, batch)

    @torch.no_grad()
    def _update_average(self) -> None:
        # Early averages would remember the random start, so the decay is small at first.
        decay = min(self.config.ema_decay, 1 - 1 / (1 + 0.1 * self.step_count))
        averaged, current = list(_tensors(self.average)), [x.detach() for x in _tensors(self.model)]
        torch._foreach_lerp_(averaged, current, 1 - decay)
        copy_magnitudes(self.average, self.model)

    def state_dict(self) -> dict[str, Any]:
        """Return everything that the next steps depend on."""
        return {
            "step_count": self.step_count,
            "sharpness": self.sharpness,
            "rng": self.rng.get_state(),
            "device": self.device,
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "muon": self.muon.state_dict(),
            "adversarial": None if self.adversarial is None else self.adversarial.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Resume from a ``state_dict``: exactly on the same kind of device, else with new random numbers.

        The moments of states from before Muon are of other groups; they start at zero.
        """
        self.step_count, self.sharpness = state["step_count"], state.get("sharpness", 1.0)
        if state.get("device", "cpu") == self.device:
            self.rng.set_state(state["rng"])
        else:
            self.rng.manual_seed(self.config.seed + self.step_count)
        optimizers = ("optimizer", "muon") if "muon" in state else ()
        for name in ("model", "average", *optimizers):
            getattr(self, name).load_state_dict(state[name])
        if state.get("adversarial") is not None:
            self.add_adversarial_loss()
            assert self.adversarial is not None
            self.adversarial.load_state_dict(state["adversarial"])


def _is_wide(parameter: nn.Parameter) -> bool:
    """Return whether a parameter is a matrix, or a convolution, of enough rows and columns for Muon."""
    return parameter.ndim in (2, 4) and min(parameter.flatten(1).shape) >= 16


def _tensors(model: HeadModel) -> Iterator[Tensor]:
    """Yield all parameters, and the backbone's noise maps, which are fitted too."""
    yield from model.parameters()
    yield from (layer.noise_const for layer in noise_layers(model.generator))
