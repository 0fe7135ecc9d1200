"""Files that ``panohead reconstruct`` writes beside the head itself: views, turntable and meshes."""

from typing import TYPE_CHECKING

from panohead.cli.common import counting, say
from panohead.errors import NoSurfaceError

if TYPE_CHECKING:
    from panohead.cli.mesh_options import MeshOptions
    from panohead.gallery import ViewStyle
    from panohead.inversion import OutputFolder, ReconstructedHead

_FPS = 24.0


def write_results(
    head: "ReconstructedHead", folder: "OutputFolder", style: "ViewStyle", *, frames: int, meshes: "MeshOptions"
) -> tuple[list[str], list[str]]:
    """Write views, turntable and meshes, with a progress bar.

    Returns:
        Names of the files, and notes on them.
    """
    from panohead.gallery import CONTACT_YAWS, write_sheet, write_turntable, write_views
    from panohead.inversion.output_folder import FRAMES_FOLDER, MESH_FILES, VIDEO_FILES

    folder.remove_results()
    out = folder.path
    video, also = out / VIDEO_FILES[0], []
    if style.transparent:
        video, also = out / VIDEO_FILES[1], [out / FRAMES_FOLDER]
    with counting("writing", len(CONTACT_YAWS) + frames + 1) as step:
        row = write_views(head, out / "views", CONTACT_YAWS, style, step=step)
        write_sheet({"": row}, out / "views.png", CONTACT_YAWS, cell_size=192, transparent=style.transparent)
        write_turntable(head, video, frames=frames, fps=_FPS, style=style, step=step, also=also)
        files, notes = [video.name, *(path.name for path in also), "views.png"], []
        try:
            names = [MESH_FILES[suffix] for suffix in meshes.mesh]
            mesh = meshes.write_meshes(head, [out / name for name in names])
            files += names
            if mesh is not None:
                notes.append(f"The photos show {mesh.metadata['seen_share']:.0%} of the mesh's vertices.")
        except NoSurfaceError as error:
            notes.append(f"There is no mesh: {error}")
            say(f"no mesh was written: {error}")
        step()
    return files, notes
