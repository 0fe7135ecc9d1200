"""The results of ``panohead reconstruct``: views, turntable and meshes of a reconstructed head."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from panohead.errors import NoSurfaceError, PanoHeadError
from panohead.gallery.meshes import write_meshes, write_splat_files
from panohead.gallery.pages import styled_viewer
from panohead.gallery.videos import write_turntable
from panohead.gallery.views import CONTACT_YAWS, FrameCallback, ViewStyle, write_sheet, write_views
from panohead.head_page import write_head_page
from panohead.inversion import OutputFolder, ReconstructedHead
from panohead.inversion.output_folder import FRAMES_FOLDER, MESH_FILES, SPLAT_FILES, VIDEO_FILES
from panohead.mesh.head_mesh import HeadMesh
from panohead.mesh.settings import MeshSettings, MeshUnit
from panohead.reports import HeadFigure
from panohead.splats import SplatCloud, SplatSettings

_FPS = 24.0


@dataclass(frozen=True)
class WrittenResults:
    """The files of a reconstructed head.

    Attributes:
        files: names in the folder.
        notes: sentences about them, for the report.
        viewer: the head to turn, for the report.
        missing_mesh: reason why there is no mesh; "" if there is one, or none was asked for.
    """

    files: tuple[str, ...]
    notes: tuple[str, ...]
    viewer: HeadFigure
    missing_mesh: str = ""


def write_results(
    head: ReconstructedHead,
    folder: OutputFolder,
    style: ViewStyle,
    *,
    frames: int,
    formats: Sequence[str],
    settings: MeshSettings,
    unit: MeshUnit | None = None,
    page: str | None = None,
    splats: Sequence[str] = (),
    splat_settings: SplatSettings | None = None,
    step: FrameCallback,
) -> WrittenResults:
    """Write views, turntable, meshes and a page; results of an earlier run go first.

    Args:
        head: what to write.
        folder: the opened output folder.
        style: background and transparency; transparent ones get a .webm and a folder of PNG files.
        frames: frames of the turntable.
        formats: mesh formats, keys of MESH_FILES.
        settings: of the meshes.
        unit: unit of their files; None for meters, in STL and 3MF millimeters.
        page: name of an offline page with the head alone; None for none.
        splats: formats of splats, keys of SPLAT_FILES.
        splat_settings: of the splats; None for the usual ones.
        step: called ``len(CONTACT_YAWS) + frames + 1 + PAGE_FRAMES`` times, and with splats after each step of theirs.

    Raises:
        PanoHeadError: when a file cannot be written, or the photos show nothing of the head.
    """
    if head.is_out_of_view:
        raise PanoHeadError(
            "the photos show nothing of the head that was found: from their cameras it is not in view, so there is no "
            "result; the camera labels or the masks are wrong (panohead dataset check tells)"
        )
    folder.remove_results()
    out = folder.path
    also: list[Path] = []
    video = out / VIDEO_FILES[0]
    if style.transparent:
        video, also = out / VIDEO_FILES[1], [out / FRAMES_FOLDER]
    row = write_views(head, out / "views", CONTACT_YAWS, style, step=step)
    sheet = out / "views.png"
    write_sheet({"": row}, sheet, CONTACT_YAWS, cell_size=192, transparent=style.transparent, source=style.source)
    write_turntable(head, video, frames=frames, fps=_FPS, style=style, step=step, also=also)
    files, notes = [video.name, *(path.name for path in also), "views.png"], []
    missing = ""
    mesh: HeadMesh | None = None
    try:
        names = [MESH_FILES[name] for name in formats]
        mesh = write_meshes(head, [out / name for name in names], settings, unit=unit)
        files += names
        if mesh is not None:
            notes.append(f"The photos show {mesh.metadata['seen_share']:.0%} of the mesh's vertices.")
    except NoSurfaceError as error:
        missing = str(error)
        notes.append(f"There is no mesh: {error}")
    step()
    cloud: SplatCloud | None = None
    if splats and not missing:
        names = [SPLAT_FILES[name] for name in splats]
        try:
            paths = [out / name for name in names]
            cloud = write_splat_files(head, paths, splat_settings or SplatSettings(), step=step)
            files += names
        except NoSurfaceError as error:
            missing = str(error)
            notes.append(f"There are no splats: {error}")
    # Without formats there is no mesh in the report, but on the page; what has no surface is not tried twice.
    wanted = settings if page is not None and mesh is None and not missing else mesh
    alt, file = "The reconstructed head, to turn", MESH_FILES["glb"]
    viewer = styled_viewer(head, style, wanted, alt=alt, file=file, splats=cloud, step=step)
    if page is not None:
        files.append(write_head_page([viewer], out / page, title="A head from photos").name)
    return WrittenResults(tuple(files), tuple(notes), viewer, missing)
