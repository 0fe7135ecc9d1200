"""Volume rendering. It knows no network: :class:`Field` is any callable from points to (raw density, features)."""

from panohead.rendering.dispatch import prepare, render
from panohead.rendering.field import Field, HeadField, NetworkField, TriGridField
from panohead.rendering.renderer import RayRendering, RenderConfig, render_rays

__all__ = [
    "Field",
    "HeadField",
    "NetworkField",
    "RayRendering",
    "RenderConfig",
    "TriGridField",
    "prepare",
    "render",
    "render_rays",
]
