"""Heads as 3-D Gaussians ("splats"): samples of the field near the surface, refined against the head's renders."""

from panohead.splats.cloud import SplatCloud
from panohead.splats.files import SPLAT_FORMATS, encoded_splats, write_splats
from panohead.splats.rasterize import render_splats
from panohead.splats.refine import refined
from panohead.splats.sample import sample_splats
from panohead.splats.settings import SplatSettings

__all__ = [
    "SPLAT_FORMATS",
    "SplatCloud",
    "SplatSettings",
    "encoded_splats",
    "refined",
    "render_splats",
    "sample_splats",
    "write_splats",
]
