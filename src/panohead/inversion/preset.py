"""Interface that the presets of :func:`panohead.inversion.reconstruct` have in common."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Generic, TypeVar

from panohead.attributes import AttributeEncoder
from panohead.errors import UsageError
from panohead.inversion.encoder_guess import EncoderGuess
from panohead.inversion.head_edit import HeadEdit
from panohead.inversion.load_photos import check_count
from panohead.inversion.losses import ImageLoss
from panohead.inversion.optimization.run import OptimizationRun
from panohead.inversion.photo import AlignedPhoto
from panohead.inversion.reconstructed_head import InversionResult
from panohead.limits import SEED, STEPS
from panohead.models.generator import Generator

Config = TypeVar("Config")


@dataclass(frozen=True)
class InversionTask:
    """Input of an inversion.

    Attributes:
        generator: generator in eval mode, without gradients; it is only read.
        photos: one or more photos of one person.
        loss: perceptual loss.
        seed: seed of all random numbers, 0 or more.
        guess: a photo encoder's guess to start from; None without one.
        attributes: attribute encoder of the generator; None without one.
        edit: changes of the head on request; they need ``attributes``.
    """

    generator: Generator
    photos: Sequence[AlignedPhoto]
    loss: ImageLoss
    seed: int
    guess: EncoderGuess | None = None
    attributes: AttributeEncoder | None = None
    edit: HeadEdit = field(default_factory=HeadEdit)


@dataclass(frozen=True, kw_only=True)
class InversionPreset(Generic[Config]):
    """One method to get from photos to a latent and a tuned generator.

    Attributes:
        name: name in the Python API and on the command line.
        config_type: frozen dataclass with the numbers of the method; its defaults are those of the preset. All have
            ``tuning_steps`` where there is a search.
        search_steps: name of the field with the number of search steps on whole images; None without a search.
        default_seed: seed if none is given.
        max_photos: largest number of photos of one person.
        phases: function from a configuration to the maximum number of steps of every phase, in their order.
        invert: search and tuning; stopped early, it returns the best result so far.
        earlier: function from a configuration to those that the same options may have meant in earlier versions, each
            with the fields that its version did not have.
    """

    name: str
    config_type: type[Config]
    search_steps: str | None
    default_seed: int
    max_photos: int
    phases: Callable[[Config], dict[str, int]]
    invert: Callable[[InversionTask, Config, OptimizationRun], InversionResult]
    earlier: Callable[[Config], Sequence[tuple[Config, frozenset[str]]]] = lambda _: ()

    def configure(
        self,
        *,
        steps: int | None = None,
        tuning_steps: int | None = None,
        unseen_weight: float | None = None,
        symmetry_weight: float | None = None,
    ) -> Config:
        """Return the preset's configuration with some numbers changed; None leaves one as it is.

        Args:
            steps: number of search steps on whole images.
            tuning_steps: number of tuning steps.
            unseen_weight: weight of the views that no photo shows.
            symmetry_weight: weight of the mirrored photos.

        Raises:
            UsageError: for a number that this preset does not have.
        """
        changed: dict[str, Any] = {
            self.search_steps or "steps": steps,
            "tuning_steps": tuning_steps,
            "unseen_weight": unseen_weight,
            "symmetry_weight": symmetry_weight,
        }
        changed = {name: value for name, value in changed.items() if value is not None}
        unknown = changed.keys() - {one.name for one in fields(self.config_type)}  # type: ignore[arg-type]
        if unknown:
            raise UsageError(f"the preset {self.name} has no {' and no '.join(sorted(unknown))}; leave it out")
        config: Config = replace(self.config_type(), **changed)  # type: ignore[type-var]
        return config

    def check(self, config: Any, photos: int, seed: int | None) -> None:
        """Refuse what this preset cannot do, before any work.

        Args:
            config: configuration of this preset.
            photos: number of photos.
            seed: seed of all random numbers, None for the preset's own.

        Raises:
            UsageError: for a configuration of another preset, a wrong number of photos, or a number out of range.
        """
        if not isinstance(config, self.config_type):
            raise UsageError(f"the preset {self.name} does not go with a {type(config).__name__}; give one that does")
        check_count(photos)
        if photos > self.max_photos:
            limit = "one photo" if self.max_photos == 1 else f"{self.max_photos} photos"
            raise UsageError(f"the preset {self.name} takes {limit}, not {photos}; use the preset fast for several")
        if seed is not None:
            SEED.whole(seed, "the seed")
        if self.search_steps is not None:
            STEPS.whole(getattr(config, self.search_steps), "the number of search steps")
