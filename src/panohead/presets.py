"""Configurations of the paper's runs and of our own, as functions that return a whole :class:`TrainConfig`.

``PRESETS`` holds them by name for the command line; functions in ``ABLATIONS`` change one thing of any of them.
"""

from collections.abc import Callable
from dataclasses import replace

from panohead import baselines
from panohead.data.selection import SelectionConfig
from panohead.errors import UsageError
from panohead.models.discriminator import DiscriminatorConfig
from panohead.models.generator_config import Backbone, GeneratorConfig
from panohead.models.implicit import ImplicitFieldConfig
from panohead.models.superresolution import SuperResolutionConfig
from panohead.rendering.renderer import RenderConfig
from panohead.rendering.trigrid import EG3D_AXES
from panohead.training.config import DataConfig, TrainConfig
from panohead.training.losses import LossConfig
from panohead.training.optimizers import AdamConfig, generator_adam
from panohead.training.regularizers import DensityRegularizerConfig
from panohead.training.schedules import ScheduleConfig
from panohead.training.warm_start.fit import WarmStartConfig

R1_AT_ONE_PIXEL = 0.0002
"""R1 gamma of one pixel at a batch of 1; gamma = this x resolution squared / batch, StyleGAN2-ADA's rule of thumb."""


CAMERA_JITTER = 0.05
"""Standard deviation of the error of :func:`camera_jitter`, world units; a view is 0.63 wide at the head."""
POSE_SWAP_FADE_SHARE = 0.04
"""Share of the run over which EG3D's swap probability falls: 1000 of 25,000 kimg."""


def panohead_512() -> TrainConfig:
    """Return the paper's first stage: 512 pixels, batch 32 on 8 devices, 25,000 kimg (docs/reference.md 5.12).

    Every number is a default of the configurations, which are the official command's.
    """
    return TrainConfig()


def panohead_512_stage2() -> TrainConfig:
    """Return the paper's second stage: from a first-stage checkpoint (``--init``), 128 x 128 rays.

    Counting starts at 1000 kimg, so that all fades are over; blur, pose fade and the ramp-up of the moving average are
    off as in a resumed official run (docs/reference.md 5.13).
    """
    stage1 = panohead_512()
    schedules = replace(stage1.schedules, blur_init_sigma=0.0, pose_swap_fade_kimg=0.0, neural_resolution_final=128)
    return replace(stage1, schedules=schedules, start_kimg=1000.0, ema_ramp_up=None)


def _eg3d_renderer(config: GeneratorConfig) -> GeneratorConfig:
    """Return the generator with EG3D's planes, decoder and rendering."""
    return replace(
        config,
        trigrid_depth=1,
        plane_axes=EG3D_AXES,
        interpolation="bilinear",
        decoder_activation="sigmoid",
        rendering=replace(config.rendering, crop_margin=0.0),
        use_torgb_raw=False,
    )


def eg3d() -> TrainConfig:
    """Return EG3D for faces (Chan et al., CVPR 2022): tri-plane, dual discriminator, no background, given cameras."""
    stage1 = panohead_512()
    generator = replace(_eg3d_renderer(stage1.generator), use_background=False, use_camera_alignment=False)
    return replace(
        stage1,
        generator=generator,
        discriminator=replace(stage1.discriminator, variant="dual"),
        data=DataConfig(selection=SelectionConfig(mirror=True)),
        # EG3D conditions on a swapped camera half of the time and adds no density noise.
        schedules=ScheduleConfig(density_noise_fade_kimg=0.0, pose_swap_probability=0.5),
        generator_adam=generator_adam(density_regularized=True),
        density_regularizer=DensityRegularizerConfig(kind="l1", weight=0.25, distance=0.004),
    )


def demo_128() -> TrainConfig:
    """Return the bundled model's configuration: 128 pixels from 64 x 64 rays, 5.6 million parameters, for a CPU.

    On white and with exact cameras, so that no capacity is spent on backgrounds and camera offsets. A texel of the
    64^2 tri-grid (0.0125 units) is about as wide as the spacing of the rays (0.0099), so a finer one would cost more
    than it shows. The bundled weights come from known attributes, see :mod:`panohead.training.attribute_fit`.
    """
    small = demo_64()
    generator = replace(
        small.generator,
        z_dim=128,
        w_dim=256,
        mapping_layers=4,  # to tell kinds of people apart by z
        feature_channels=24,
        channel_base=4096,
        channel_max=256,
        position_maps=True,
        deformation=16,
        surface_detail=True,
        deformation_rank=28,  # 98 % of the variance of people's deformations
        neural_rendering_resolution=64,
        # One pass: a first one of few samples misses surfaces, and 40 in all leave rings on hair. Most of the 96 lie in
        # empty space, where none is taken. Shoulders reach the border of the box.
        rendering=replace(_closeup(96), importance_samples=0, empty_cells=32, crop_margin=0.01),
        superresolution=replace(small.generator.superresolution, from_resolution=64),
    )
    assert small.warm_start is not None
    return replace(
        small,
        generator=generator,
        discriminator=_small_discriminator(128, channel_base=2048, channel_max=128),
        # Between two measured extremes at 64 pixels: 0.05 gave specks, 0.25 took the eyes away.
        loss=LossConfig(r1_gamma=0.1, r1_gamma_mask=0.1),
        schedules=replace(small.schedules, neural_resolution_initial=generator.neural_rendering_resolution),
        micro_batch=4,
        # A patch of 32 rays is a quarter of a view, so whole views come first.
        warm_start=replace(small.warm_start, coarse_steps=800),
    )


def demo_64() -> TrainConfig:
    """Return a small model for a CPU: 64 pixels from 32 x 32 rays, 1.3 million parameters per network.

    On white and with exact cameras, so that no capacity is spent on backgrounds and camera offsets. Warm-started, see
    :mod:`panohead.training.warm_start.fit`; the layers' noise maps, learned there, are constant afterwards.
    """
    generator = GeneratorConfig(
        z_dim=64,
        w_dim=128,
        conditioning_scale=0.0,  # the mapping network ignores the camera
        trigrid_resolution=64,
        trigrid_channels=16,
        feature_channels=16,
        channel_base=2048,
        channel_max=128,
        neural_rendering_resolution=32,
        rendering=_closeup(16),
        superresolution=SuperResolutionConfig(kind="2x", from_resolution=32, half_precision=False, channels=(48, 24)),
        use_background=False,
        use_camera_alignment=False,
    )
    batch = 16
    return TrainConfig(
        generator=generator,
        discriminator=_small_discriminator(64, channel_base=2048, channel_max=128),
        data=DataConfig(selection=SelectionConfig(mirror=True), background="white"),
        loss=_r1(64, batch),
        schedules=ScheduleConfig(
            blur_init_sigma=0.0,
            density_noise_fade_kimg=0.0,
            pose_swap_probability=None,  # no conditioning camera at all
            neural_resolution_initial=32,
        ),
        # Smaller than the official rate, and the discriminator starts first: the generator is warm-started.
        generator_adam=AdamConfig(learning_rate=0.001),
        batch=batch,
        micro_batch=8,
        total_kimg=200.0,
        ema_half_life_kimg=3.0,
        noise_mode="const",
        frozen_generator_kimg=2.0,
        tick_kimg=1.0,
        state_ticks=2,
        snapshot_ticks=10,
        metric_ticks=10,
        warm_start=WarmStartConfig(
            steps=9000,
            coarse_steps=0,  # a patch of 32 rays is a whole view already
            people_per_step=4,
            views_per_person=3,
            learning_rate=4e-3,
            position_map_learning_rate=2e-2,
            detail_weight=2.0,
            decay_fraction=0.25,
            ema_decay=0.997,
        ),
    )


def tiny() -> TrainConfig:
    """Return the smallest run with every part of the method, for tests: 32 pixels from 16 x 16 rays."""
    generator = GeneratorConfig(
        z_dim=16,
        w_dim=32,
        trigrid_resolution=16,
        trigrid_channels=8,
        feature_channels=8,
        channel_base=512,
        channel_max=32,
        neural_rendering_resolution=16,
        rendering=_closeup(8),
        superresolution=SuperResolutionConfig(kind="2x", from_resolution=16, half_precision=False, channels=(16, 8)),
    )
    batch = 8
    return TrainConfig(
        generator=generator,
        discriminator=_small_discriminator(32, channel_base=512, channel_max=32),
        data=DataConfig(selection=SelectionConfig(mirror=True), workers=0),
        loss=_r1(32, batch),
        schedules=ScheduleConfig(
            blur_fade_kimg=0.5,
            density_noise_fade_kimg=0.5,
            pose_swap_fade_kimg=1.0,
            neural_resolution_initial=16,
        ),
        batch=batch,
        micro_batch=4,
        total_kimg=5.0,
        ema_half_life_kimg=0.5,
        tick_kimg=0.25,
        state_ticks=1,
        snapshot_ticks=4,
        metric_ticks=4,
        metric_images=64,
    )


def pi_gan_64() -> TrainConfig:
    """Return pi-GAN (Chan et al. 2021) at the size of :func:`demo_64`: see :mod:`panohead.baselines`."""
    return baselines.pi_gan(demo_64(), ImplicitFieldConfig(kind="siren", width=64, layers=4), samples=12)


def graf_64() -> TrainConfig:
    """Return GRAF (Schwarz et al. 2020) at the size of :func:`demo_64`: see :mod:`panohead.baselines`."""
    field = ImplicitFieldConfig(kind="graf", width=64, layers=4, position_octaves=6, direction_octaves=2)
    return baselines.graf(demo_64(), field, samples=12, patch=32)


def eg3d_64() -> TrainConfig:
    """Return EG3D (Chan et al. 2022) at the size of :func:`demo_64`, from random weights.

    What :func:`eg3d` says of the method, the small networks and data of the other one. Its mapping network is given
    a camera, as the paper's; its density is regularized at the distance and weight of the paper.
    """
    large, small = eg3d(), no_warm_start(demo_64())
    generator = replace(_eg3d_renderer(small.generator), conditioning_scale=1.0)
    return replace(
        small,
        generator=generator,
        discriminator=replace(small.discriminator, variant="dual"),
        schedules=replace(
            small.schedules, pose_swap_probability=0.5, pose_swap_fade_kimg=small.total_kimg * POSE_SWAP_FADE_SHARE
        ),
        generator_adam=generator_adam(density_regularized=True),
        density_regularizer=large.density_regularizer,
    )


def style_sdf_64() -> TrainConfig:
    """Return StyleSDF (Or-El et al. 2022) at the size of :func:`demo_64`: see :mod:`panohead.baselines`."""
    return baselines.style_sdf(demo_64(), ImplicitFieldConfig(kind="sdf", width=64, layers=3), samples=24)


def with_batch(config: TrainConfig, batch: int) -> TrainConfig:
    """Change the batch; durations of the blur and of the moving average scale in proportion, as in the original."""
    ratio = batch / config.batch
    schedules = replace(config.schedules, blur_fade_kimg=config.schedules.blur_fade_kimg * ratio)
    return replace(config, batch=batch, schedules=schedules, ema_half_life_kimg=config.ema_half_life_kimg * ratio)


def with_backbone(config: TrainConfig, backbone: Backbone) -> TrainConfig:
    """Change the network that makes the tri-grid; position maps belong to StyleGAN2's alone.

    Raises:
        UsageError: for a preset whose heads are no tri-grids.
    """
    if config.generator.implicit is not None:
        raise UsageError(
            "a generator with an implicit field has no backbone; leave --backbone out, or take another preset"
        )
    maps = config.generator.position_maps and backbone == "stylegan2"
    return replace(config, generator=replace(config.generator, backbone=backbone, position_maps=maps))


PRESETS: dict[str, Callable[[], TrainConfig]] = {
    preset.__name__: preset
    for preset in (
        panohead_512, panohead_512_stage2, eg3d, demo_128, demo_64, eg3d_64, pi_gan_64, graf_64, style_sdf_64, tiny,
    )
}  # fmt: skip


def no_mask(config: TrainConfig) -> TrainConfig:
    """Return the paper's ablation without foreground masks: the dual discriminator has no mask input."""
    return replace(config, discriminator=replace(config.discriminator, variant="dual"))


def tri_plane(config: TrainConfig) -> TrainConfig:
    """Return the paper's ablation with a tri-plane: one slice per plane, sampled bilinearly, as in EG3D."""
    generator = replace(config.generator, trigrid_depth=1, plane_axes=EG3D_AXES, interpolation="bilinear")
    return replace(config, generator=generator)


def _depth(config: TrainConfig, slices: int) -> TrainConfig:
    return replace(config, generator=replace(config.generator, trigrid_depth=slices, interpolation="trilinear"))


def depth_1(config: TrainConfig) -> TrainConfig:
    """Return a tri-grid of one slice, which fades toward its ends; not EG3D's tri-plane (:func:`tri_plane`)."""
    return _depth(config, 1)


def depth_2(config: TrainConfig) -> TrainConfig:
    """Return a tri-grid of two slices, one for each half of the head."""
    return _depth(config, 2)


def depth_3(config: TrainConfig) -> TrainConfig:
    """Return a tri-grid of three slices, the paper's."""
    return _depth(config, 3)


def depth_5(config: TrainConfig) -> TrainConfig:
    """Return a tri-grid of five slices."""
    return _depth(config, 5)


def camera_jitter(config: TrainConfig) -> TrainConfig:
    """Move every photo's camera by a fixed error of standard deviation :data:`CAMERA_JITTER`.

    Synthetic data has exact cameras; the camera's self-adaptation has something to do only with errors like these.
    """
    return replace(config, data=replace(config.data, camera_jitter=CAMERA_JITTER))


def no_camera_adaptation(config: TrainConfig) -> TrainConfig:
    """Return the paper's ablation without the camera's self-adaptation (PanoHead 3.4)."""
    return replace(config, generator=replace(config.generator, use_camera_alignment=False))


def camera_adaptation(config: TrainConfig) -> TrainConfig:
    """Add the camera's self-adaptation to presets without it."""
    return replace(config, generator=replace(config.generator, use_camera_alignment=True))


def no_warm_start(config: TrainConfig) -> TrainConfig:
    """Return adversarial training alone, from random weights: the comparison for the multi-view warm start."""
    return replace(
        config, warm_start=None, frozen_generator_kimg=0.0, noise_mode="random", generator_adam=generator_adam()
    )


ABLATIONS: dict[str, Callable[[TrainConfig], TrainConfig]] = {
    change.__name__: change
    for change in (
        no_mask, tri_plane, depth_1, depth_2, depth_3, depth_5, camera_jitter, no_camera_adaptation, camera_adaptation,
        no_warm_start,
    )
}  # fmt: skip


def _closeup(samples: int) -> RenderConfig:
    """Return the rays of small models: depths near the head only, ``samples`` in each of the two passes."""
    return RenderConfig(
        depth_samples=samples,
        importance_samples=samples,
        ray_start=2.3,
        ray_end=3.1,
        box_warp=0.8,
        crop_margin=0.02,
    )


def _small_discriminator(resolution: int, *, channel_base: int, channel_max: int) -> DiscriminatorConfig:
    return DiscriminatorConfig(
        resolution=resolution,
        channel_base=channel_base,
        channel_max=channel_max,
        num_fp16_resolutions=0,
        conv_clamp=None,
    )


# gamma = R1_AT_ONE_PIXEL * resolution^2 / batch, for image and mask alike.
def _r1(resolution: int, batch: int) -> LossConfig:
    gamma = R1_AT_ONE_PIXEL * resolution**2 / batch
    return LossConfig(r1_gamma=gamma, r1_gamma_mask=gamma)
