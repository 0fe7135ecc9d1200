"""The paper's comparisons as changes of a preset: the same data, training loop and budget, another generator.

Every function takes a small preset with a tri-grid and returns a whole configuration. docs/baselines.md says what each
keeps of its paper and what it simplifies.
"""

from dataclasses import replace

from panohead.models.generator_config import GeneratorConfig
from panohead.models.implicit import ImplicitFieldConfig
from panohead.models.superresolution import SuperResolutionConfig
from panohead.training.config import TrainConfig
from panohead.training.ray_windows import PatchConfig
from panohead.training.sdf_losses import SdfLossConfig


def pi_gan(preset: TrainConfig, field: ImplicitFieldConfig, *, samples: int, mapping_layers: int = 3) -> TrainConfig:
    """Return pi-GAN (Chan et al. 2021) in place of a preset's method.

    The image is the rendered rays; the discriminator sees images alone, neither cameras nor masks. Progressive growing
    (section 3.4) is a growing number of rays: photos and images are brought to it, and enlarged for a discriminator
    that stays the same.

    Args:
        preset: small preset whose resolution, rays, data and optimizers stay.
        field: size of the field.
        samples: samples of a ray in each of two passes.
        mapping_layers: layers of the mapping network.
    """
    side = preset.resolution
    generator = replace(_without_trigrid(preset.generator, field, samples, side), mapping_layers=mapping_layers)
    schedules = replace(
        preset.schedules,
        neural_resolution_initial=side // 2,
        neural_resolution_final=side,
        neural_resolution_fade_kimg=preset.total_kimg / 2,
    )
    return replace(
        preset,
        generator=generator,
        discriminator=replace(preset.discriminator, variant="raw", label_dim=0),
        schedules=schedules,
        frozen_generator_kimg=0.0,
        warm_start=None,
        noise_mode="none",
    )


def graf(preset: TrainConfig, field: ImplicitFieldConfig, *, samples: int, patch: int) -> TrainConfig:
    """Return GRAF (Schwarz et al. 2020) in place of a preset's method.

    The image is the rendered rays; the discriminator sees patches of ``patch`` x ``patch`` rays of random scale and
    place, neither cameras nor masks. z is a shape code and an appearance code of half its width each.

    Args:
        preset: small preset whose resolution, data and optimizers stay.
        field: size of the field.
        samples: samples of a ray in each of two passes.
        patch: rays per side of a patch.
    """
    side = preset.resolution
    generator = _without_trigrid(preset.generator, field, samples, side)
    schedules = replace(preset.schedules, neural_resolution_initial=patch, neural_resolution_final=None)
    return replace(
        preset,
        generator=generator,
        discriminator=replace(preset.discriminator, variant="single", resolution=patch, label_dim=0),
        schedules=schedules,
        patches=PatchConfig(side=patch, min_share=patch / side, fade_kimg=preset.total_kimg / 2),
        frozen_generator_kimg=0.0,
        warm_start=None,
        noise_mode="none",
    )


def style_sdf(preset: TrainConfig, field: ImplicitFieldConfig, *, samples: int, mapping_layers: int = 3) -> TrainConfig:
    """Return StyleSDF (Or-El et al. 2022) in place of a preset's method.

    Rays of the preset's number give colors and features; the preset's StyleGAN2 blocks make the image of them. Both are
    trained together, and the discriminator sees both, with the camera.

    Args:
        preset: small preset whose resolution, rays, super-resolution, data and optimizers stay.
        field: size of the field.
        samples: samples of a ray; there is one pass.
        mapping_layers: layers of the mapping network.
    """
    kept = preset.generator
    rays = kept.neural_rendering_resolution
    plain = _without_trigrid(kept, field, samples, rays)
    generator = replace(
        plain,
        mapping_layers=mapping_layers,
        feature_channels=kept.feature_channels,
        rendering=replace(plain.rendering, importance_samples=0),
        superresolution=kept.superresolution,
    )
    return replace(
        preset,
        generator=generator,
        discriminator=replace(preset.discriminator, variant="dual"),
        schedules=replace(preset.schedules, neural_resolution_initial=rays, neural_resolution_final=None),
        sdf_loss=SdfLossConfig(),
        frozen_generator_kimg=0.0,
        warm_start=None,
        noise_mode="none",
    )


def _without_trigrid(
    generator: GeneratorConfig, field: ImplicitFieldConfig, samples: int, side: int
) -> GeneratorConfig:
    """Return a generator whose images are rendered rays on white, of an implicit field without conditioning camera."""
    return replace(
        generator,
        z_dim=generator.z_dim * (2 if field.kind == "graf" else 1),  # two codes
        w_dim=generator.z_dim,
        conditioning_scale=0.0,
        feature_channels=3,
        decoder_activation="sigmoid",  # colors in [0, 1]
        neural_rendering_resolution=side,
        position_maps=False,
        deformation=0,
        surface_texture=0,
        surface_detail=False,
        rendering=replace(
            generator.rendering, depth_samples=samples, importance_samples=samples, empty_cells=0, white_background=True
        ),
        superresolution=SuperResolutionConfig(kind="none", from_resolution=side, half_precision=False),
        use_torgb_raw=False,
        use_background=False,
        use_camera_alignment=False,
        implicit=field,
    )
