"""A small generator of 32 pixels without background and camera self-adaptation, for tests of its optional parts."""

from typing import Any

from panohead.models.generator_config import GeneratorConfig
from panohead.models.superresolution import SuperResolutionConfig
from panohead.rendering.renderer import RenderConfig

BOX = 0.8
"""Side of the rendered box, world units."""


def small_config(**parts: Any) -> GeneratorConfig:
    """Return the configuration with some fields set."""
    return GeneratorConfig(
        z_dim=8,
        w_dim=16,
        trigrid_resolution=16,
        trigrid_channels=16,
        feature_channels=8,
        channel_base=256,
        channel_max=16,
        neural_rendering_resolution=16,
        rendering=RenderConfig(depth_samples=8, importance_samples=8, ray_start=2.3, ray_end=3.1, box_warp=BOX),
        superresolution=SuperResolutionConfig(kind="2x", from_resolution=16, half_precision=False, channels=(8, 8)),
        use_background=False,
        use_camera_alignment=False,
        **parts,
    )
