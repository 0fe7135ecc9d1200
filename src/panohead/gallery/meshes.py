"""Meshes and splats of heads as files."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from panohead.head import Head
from panohead.mesh.settings import MeshSettings, MeshUnit

if TYPE_CHECKING:
    from panohead.mesh.head_mesh import HeadMesh
    from panohead.splats import SplatCloud
    from panohead.splats.settings import SplatSettings


def write_meshes(
    head: Head, paths: Sequence[Path], settings: MeshSettings, *, unit: MeshUnit | None = None
) -> "HeadMesh | None":
    """Write the head's surface in the format of each path; ``.mrc`` is the density volume instead.

    Args:
        head: what to write.
        paths: files; their suffix is one of MESH_FORMATS of :mod:`panohead.mesh.export`.
        settings: grid, smoothing, simplification, texture and morph targets (of GLB alone).
        unit: unit of all files; None for meters, in STL and 3MF millimeters.

    Returns:
        The mesh, None if only the volume was asked for.

    Raises:
        NoSurfaceError: when the density reaches the level nowhere.
        PanoHeadError: when a package is missing or a file cannot be written.
    """
    from panohead.mesh.export import Volume, write_mesh  # here: images need not wait for trimesh
    from panohead.mesh.surface import density_grid

    suffixes = {path.suffix for path in paths}
    mesh: HeadMesh | None = None
    volume = None
    plain = None
    if suffixes - {".mrc"}:
        mesh = plain = head.mesh(**vars(settings))
    if settings.morphs and suffixes - {".mrc", ".glb"}:
        plain = head.mesh(**vars(replace(settings, morphs=False, eyeballs=False)))
    if ".mrc" in suffixes:
        box, nodes = head.generator.config.rendering.box_warp, settings.resolution
        volume = Volume(density_grid(head.density, resolution=nodes, box_warp=box), box / (nodes - 1))
    for path in paths:
        write_mesh(mesh if path.suffix == ".glb" else plain, path, unit=unit, volume=volume)
    return mesh


def write_splat_files(
    head: Head, paths: Sequence[Path], settings: "SplatSettings", *, step: Callable[[], None] = lambda: None
) -> "SplatCloud":
    """Write the head's splats in the format of each path, .ply or .spz, and return them.

    Args:
        head: what to write.
        paths: files.
        settings: number of splats, and steps of their refinement.
        step: called after each of these steps.

    Raises:
        NoSurfaceError: when the head has no surface.
        PanoHeadError: when a file cannot be written.
    """
    from panohead.splats.files import write_splats

    cloud = head.splats(settings.count, steps=settings.steps, level=settings.level, progress=step)
    for path in paths:
        write_splats(cloud, path)
    return cloud
