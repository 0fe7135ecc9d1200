"""Heads to files: images, contact sheets, turntables and other videos, meshes, the demo page."""

from panohead.gallery.demo import write_demo
from panohead.gallery.meshes import MeshSettings, write_meshes
from panohead.gallery.reconstruction import write_results
from panohead.gallery.videos import latent_walk, write_turntable, write_walk
from panohead.gallery.views import CONTACT_YAWS, ViewStyle, write_sheet, write_views

__all__ = [
    "CONTACT_YAWS",
    "MeshSettings",
    "ViewStyle",
    "latent_walk",
    "write_demo",
    "write_meshes",
    "write_results",
    "write_sheet",
    "write_turntable",
    "write_views",
    "write_walk",
]
