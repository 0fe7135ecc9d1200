"""The configuration of a training run: one frozen dataclass, stored as JSON in the run's folder and checkpoints."""

from dataclasses import asdict, dataclass, field
from typing import Annotated, Any, Literal

from panohead.data.selection import SelectionConfig
from panohead.errors import UsageError
from panohead.files.read_json import from_plain
from panohead.limits import NumberRange
from panohead.models.discriminator import DiscriminatorConfig
from panohead.models.generator_config import GeneratorConfig
from panohead.randomness import NoiseMode
from panohead.system.bounds import Bounded, Count, NotNegative, Seed
from panohead.training.augmentation.config import AugmentConfig
from panohead.training.losses import LossConfig
from panohead.training.mismatched import MismatchConfig
from panohead.training.optimizers import AdamConfig, discriminator_adam, generator_adam
from panohead.training.ray_windows import PatchConfig
from panohead.training.regularizers import DensityRegularizerConfig
from panohead.training.relativistic import R3ganConfig
from panohead.training.schedules import ScheduleConfig
from panohead.training.sdf_losses import SdfLossConfig
from panohead.training.warm_start.fit import WarmStartConfig


@dataclass(frozen=True, kw_only=True)
class DataConfig(Bounded):
    """Selection and preparation of a dataset's photos.

    Attributes:
        selection: photos used, repetition and mirroring. The official command mirrors and lists photos of the back four
            times (docs/reference.md 5.12 and 6.2).
        background: "white" composites the person over white by the mask, for generators without a background network.
        camera_jitter: standard deviation of a fixed error added to every camera position, world units; an ablation.
        broken_limit: number of unreadable photos that are skipped with a warning before the run stops.
        cache: memory that holds decoded photos; "auto" takes the device's if they fit.
        workers: processes that decode when nothing is cached.
    """

    selection: SelectionConfig = field(default_factory=lambda: SelectionConfig(back_repeat=4, mirror=True))
    background: Literal["keep", "white"] = "keep"
    camera_jitter: NotNegative = 0.0
    broken_limit: Count = 100
    cache: Literal["auto", "device", "memory", "none"] = "auto"
    workers: Annotated[int, NumberRange(0, 256)] = 3


@dataclass(frozen=True, kw_only=True)
class NumericsConfig(Bounded):
    """Numeric settings; half-precision layers are settings of the networks (``num_fp16_resolutions``).

    Attributes:
        channels_last: memory layout of the discriminator and the 2-D layers of the generator.
        compile: torch.compile for the generator's 2-D layers (the discriminator is differentiated twice, which
            compiled code cannot be).
        tf32: allow TensorFloat-32 in matrix products (the original does not).
    """

    channels_last: bool = False
    compile: bool = False
    tf32: bool = False


@dataclass(frozen=True, kw_only=True)
class TrainConfig(Bounded):
    """A training run. The defaults are the official first stage; :mod:`panohead.presets` has the others.

    Attributes:
        generator, discriminator: architectures of the networks.
        data: selection and preparation of the photos.
        loss: weights of the losses.
        schedules: values that change during training.
        generator_adam, discriminator_adam: settings of the optimizers and intervals of the lazy regularizers.
        density_regularizer: density regularizer of the generator; None for none (the official command).
        sdf_loss: losses of signed distances, for a generator with the implicit field "sdf" (StyleSDF); None for none.
        patches: show the discriminator patches of rays instead of whole images (GRAF); None for whole images.
        mismatch: show the discriminator photos with the cameras of others, as fakes; None for the paper's training.
        r3gan: R3GAN's objective and schedules instead of the logistic one with lazy R1; None for the paper's.
        augment: augmentation of the discriminator's inputs; None for none (the original has none).
        numerics: memory layout, compilation and TensorFloat-32.
        batch: photos per step, over all devices.
        micro_batch: photos that are computed at once on one device (official: 4 on each of 8). Pose and background
            swaps, minibatch statistics and the camera offset penalty work within one micro-batch; the results are the
            same however many devices share the micro-batches.
        total_kimg: thousands of photos shown when the run ends, ``start_kimg`` included.
        start_kimg: thousands of photos at which counting starts (the second stage: 1000).
        total_cpu_s: processor seconds of steps (mean of the devices' processes) after which the run ends, if it has not
            shown all photos before; None for no such end. So methods of unequal cost get equal budgets, on a busy
            machine too.
        ema_half_life_kimg, ema_ramp_up: half-life of the generator's moving average and its bound early in training;
            see :func:`panohead.training.ema.ema_beta`.
        noise_mode: pixel noise of the generator's layers.
        frozen_generator_kimg: thousands of photos during which only the discriminator is trained at the start, so that
            it can catch up with a warm-started generator; 0 for the original's training.
        frozen_discriminator: never update the discriminator; a control experiment, not a way to train.
        tick_kimg: thousands of photos between two lines of statistics (a tick).
        state_ticks, snapshot_ticks, metric_ticks: ticks between two resumable states, two snapshots (weights and a grid
            of images) and two measurements; 0 for none but at the end.
        metric_images: number of photos, and of generated heads, that a measurement compares.
        warm_start: multi-view warm start before adversarial training; our addition, needs a dataset with
            ``people.jsonl``.
        seed: seed of weights, order of photos and all random numbers.
    """

    generator: GeneratorConfig = field(default_factory=GeneratorConfig)
    discriminator: DiscriminatorConfig = field(default_factory=DiscriminatorConfig)
    data: DataConfig = field(default_factory=DataConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    schedules: ScheduleConfig = field(default_factory=ScheduleConfig)
    generator_adam: AdamConfig = field(default_factory=generator_adam)
    discriminator_adam: AdamConfig = field(default_factory=discriminator_adam)
    density_regularizer: DensityRegularizerConfig | None = None
    sdf_loss: SdfLossConfig | None = None
    patches: PatchConfig | None = None
    mismatch: MismatchConfig | None = None
    r3gan: R3ganConfig | None = None
    augment: AugmentConfig | None = None
    numerics: NumericsConfig = field(default_factory=NumericsConfig)
    batch: Annotated[int, NumberRange(0, 65536)] = 32
    micro_batch: Annotated[int, NumberRange(0, 65536)] = 4
    total_kimg: Annotated[float, NumberRange(-1e9, 1e9)] = 25000.0
    start_kimg: NotNegative = 0.0
    total_cpu_s: Annotated[float, NumberRange(0.01, 1e9)] | None = None
    ema_half_life_kimg: NotNegative = 10.0
    ema_ramp_up: NotNegative | None = 0.05
    noise_mode: NoiseMode = "random"
    frozen_generator_kimg: NotNegative = 0.0
    frozen_discriminator: bool = False
    tick_kimg: Annotated[float, NumberRange(-1e9, 1e9)] = 4.0
    state_ticks: Count = 10
    snapshot_ticks: Count = 50
    metric_ticks: Count = 50
    metric_images: Count = 2000
    warm_start: WarmStartConfig | None = None
    seed: Seed = 0

    @property
    def start_nimg(self) -> int:
        """Number of photos at which counting starts."""
        return round(self.start_kimg * 1000)

    @property
    def resolution(self) -> int:
        """Output resolution of the generator, pixels per side."""
        return self.generator.superresolution.output_resolution

    def micro_batches(self, world_size: int) -> int:
        """Return the number of micro-batches that each device computes in a step.

        Raises:
            UsageError: when the batch cannot be shared out evenly.
        """
        share = self.micro_batch * world_size
        if self.batch < 1 or self.micro_batch < 1 or self.batch % share:
            raise UsageError(
                f"a batch of {self.batch} cannot be shared by {world_size} device(s) in micro-batches of "
                f"{self.micro_batch}; choose --batch as a multiple of {share}, or another --micro-batch"
            )
        return self.batch // share

    def checked(self) -> "TrainConfig":
        """Return this configuration if its parts fit together.

        Raises:
            UsageError: naming the setting that does not fit.
        """
        shown = self.resolution if self.patches is None else self.patches.side
        if self.discriminator.resolution != shown:
            raise UsageError(
                f"the discriminator takes {self.discriminator.resolution} pixels per side and is shown {shown}; "
                f"set discriminator.resolution={shown}"
            )
        self._check_baselines()
        self._check_later_methods()
        group, heads = self.discriminator.mbstd_group_size, self.micro_batch // self.discriminator.views
        if group is not None and heads % min(group, heads):
            raise UsageError(
                f"micro-batches of {heads} heads do not split into groups of {group} for minibatch statistics; "
                "set discriminator.mbstd_group_size or --micro-batch"
            )
        for name, bound in (("tick_kimg", 0.0), ("total_kimg", self.start_kimg)):
            # Not <=: a comparison with NaN is false.
            if not getattr(self, name) > bound:
                raise UsageError(f"{name} is {getattr(self, name)}; it must be more than {bound:g}")
        self._check_intervals()
        if self.warm_start is not None and self.generator.implicit is not None:
            raise UsageError("a warm start fits tri-grids; set warm_start=null for a generator with an implicit field")
        if self.warm_start is not None and self.noise_mode != "const":
            raise UsageError("a warm start fits the layers' noise maps, which must stay constant; set noise_mode=const")
        return self

    def _check_later_methods(self) -> None:
        views = self.discriminator.views
        if self.micro_batch % views:
            raise UsageError(
                f"micro-batches of {self.micro_batch} do not hold {views} views of each head; give --micro-batch as a "
                f"multiple of {views}"
            )
        if self.mismatch is not None and self.discriminator.label_dim == 0:
            raise UsageError(
                "mismatched pairs need a discriminator that is given cameras; set mismatch=null, or take another preset"
            )
        if self.r3gan is not None and self.discriminator_adam.interval is not None:
            raise UsageError(
                "R3GAN's penalties belong to every step; set discriminator_adam.interval=null, or r3gan=null"
            )

    def _check_baselines(self) -> None:
        field = self.generator.implicit
        if self.sdf_loss is not None and (field is None or field.kind != "sdf"):
            raise UsageError("sdf_loss needs signed distances; set generator.implicit.kind=sdf, or sdf_loss=null")
        if self.patches is None:
            return
        rays = self.schedules.at(0).neural_resolution, self.schedules.neural_resolution_final
        if rays != (self.patches.side, None):
            raise UsageError(
                f"patches have {self.patches.side} rays per side; set schedules.neural_resolution_initial to it, and "
                "schedules.neural_resolution_final=null"
            )
        if self.generator.superresolution.kind != "none":
            raise UsageError("patches are rays; set generator.superresolution.kind=none, or patches=null")

    def _check_intervals(self) -> None:
        for name, adam in (("generator_adam", self.generator_adam), ("discriminator_adam", self.discriminator_adam)):
            if adam.interval is not None and adam.interval < 1:
                raise UsageError(f"{name}.interval is {adam.interval}; give 1 or more steps, or null for never")
        if self.density_regularizer is not None and self.generator_adam.interval is None:
            raise UsageError("the density regularizer would never run; set generator_adam.interval (4 in the original)")


def with_settings(config: TrainConfig, settings: dict[str, Any]) -> TrainConfig:
    """Return a copy with settings replaced by their dotted names, for example ``{"loss.r1_gamma": 0.5}``.

    Raises:
        UsageError: naming a setting that does not exist or a value that it does not take.
    """
    plain = asdict(config)
    for name, value in settings.items():
        *sections, last = name.split(".")
        section = plain
        for key in sections:
            section = section.get(key) if isinstance(section, dict) else None  # type: ignore[assignment]
        if not isinstance(section, dict) or last not in section:
            raise UsageError(f"there is no setting {name!r}; --dry-run lists all of them")
        section[last] = value
    try:
        return from_plain(TrainConfig, plain)
    except (ValueError, TypeError) as error:
        raise UsageError(f"a setting does not take that value: {error}") from error
