"""Meshes of heads whose own ``export`` writes what the commands write: right colors, a matte material, the mark."""

from pathlib import Path
from typing import Any

import trimesh

from panohead.mesh.export import MESH_FORMATS, encoded, write_mesh


class HeadMesh(trimesh.Trimesh):
    """A ``trimesh.Trimesh`` of a head; ``export("head.glb")`` is :func:`panohead.mesh.write_mesh`.

    trimesh's own writers store sRGB bytes as vertex colors where glTF asks for linear values (pale heads), and no mark.
    They are still used for formats that this package does not write.
    """

    @classmethod
    def of(cls, mesh: trimesh.Trimesh) -> "HeadMesh":
        """Turn a mesh, in place, into a HeadMesh and return it."""
        mesh.__class__ = cls
        assert isinstance(mesh, cls)
        return mesh

    def copy(self, *arguments: Any, **options: Any) -> "HeadMesh":
        """Return a copy (see ``trimesh.Trimesh.copy``) with the same vertex normals, not newly computed ones."""
        copied = super().copy(*arguments, **options)
        copied.vertex_normals = self.vertex_normals  # type: ignore[method-assign]
        return HeadMesh.of(copied)

    def export(self, file_obj: Any = None, file_type: str | None = None, **options: Any) -> Any:
        """Write the mesh, or return its bytes, in the format of the name or ``file_type``.

        Args:
            file_obj: path, open binary file, or None to get the content.
            file_type: suffix such as "glb"; None takes the path's.
            options: arguments of trimesh's writers; given, they are used instead.

        Raises:
            PanoHeadError: when the file cannot be written.
        """
        named = isinstance(file_obj, str | Path)
        kind = (file_type or (Path(file_obj).suffix if named else "")).lower().removeprefix(".")
        if options or kind not in MESH_FORMATS or kind == "mrc":
            return super().export(file_obj, file_type, **options)
        if named and Path(file_obj).suffix.lower() == f".{kind}":
            return write_mesh(self, file_obj)
        content = encoded(self, kind)
        if named:
            return Path(file_obj).write_bytes(content)
        return content if file_obj is None else file_obj.write(content)
