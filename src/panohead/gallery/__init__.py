"""Heads to files: images, contact sheets, turntables and other videos, meshes, the demo page."""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from panohead.gallery.dataset_view import write_dataset_view
    from panohead.gallery.demo import write_demo
    from panohead.gallery.meshes import MeshSettings, write_meshes, write_splat_files
    from panohead.gallery.pages import styled_viewer
    from panohead.gallery.reconstruction import write_results
    from panohead.gallery.videos import latent_walk, write_turntable, write_walk
    from panohead.gallery.views import CONTACT_YAWS, ViewStyle, write_sheet, write_strips, write_views

__all__ = [
    "CONTACT_YAWS",
    "MeshSettings",
    "ViewStyle",
    "latent_walk",
    "styled_viewer",
    "write_dataset_view",
    "write_demo",
    "write_meshes",
    "write_results",
    "write_sheet",
    "write_splat_files",
    "write_strips",
    "write_turntable",
    "write_views",
    "write_walk",
]

_HOMES = {
    "dataset_view": ("write_dataset_view",),
    "demo": ("write_demo",),
    "meshes": (
        "MeshSettings",
        "write_meshes",
        "write_splat_files",
    ),
    "pages": ("styled_viewer",),
    "reconstruction": ("write_results",),
    "videos": (
        "latent_walk",
        "write_turntable",
        "write_walk",
    ),
    "views": (
        "CONTACT_YAWS",
        "ViewStyle",
        "write_sheet",
        "write_strips",
        "write_views",
    ),
}


def __getattr__(name: str) -> object:
    """Import the public names when they are first used: images need not wait for meshes and reconstructions."""
    for module, names in _HOMES.items():
        if name in names:
            return getattr(importlib.import_module(f"panohead.gallery.{module}"), name)
    raise AttributeError(f"module 'panohead.gallery' has no attribute {name!r}")
