"""Fields that a network evaluates at every point: those of the baselines pi-GAN, GRAF and StyleSDF.

Written from the papers (docs/baselines.md): no code of theirs was read.
"""

from typing import Any

from panohead.models.implicit.config import ImplicitFieldConfig
from panohead.models.implicit.graf import GrafField, SplitCodes
from panohead.models.implicit.sdf import SdfField
from panohead.models.implicit.siren import SirenField

ImplicitNetwork = SirenField | GrafField | SdfField


def make_implicit(config: ImplicitFieldConfig, *, w_dim: int, out_features: int, box_warp: float) -> ImplicitNetwork:
    """Return an untrained field's network.

    Args:
        w_dim: width of the rows of ws.
        out_features: color features, the first three of them colors.
        box_warp: side of the box, world units.
    """
    sizes: dict[str, Any] = {"w_dim": w_dim, "out_features": out_features, "box_warp": box_warp}
    if config.kind == "siren":
        return SirenField(config, **sizes)
    if config.kind == "graf":
        return GrafField(config, **sizes)
    return SdfField(config, **sizes)


__all__ = [
    "GrafField",
    "ImplicitFieldConfig",
    "ImplicitNetwork",
    "SdfField",
    "SirenField",
    "SplitCodes",
    "make_implicit",
]
