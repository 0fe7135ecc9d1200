"""Measure which marks are in each format that heads are written in, and what ordinary programs leave of them:

    python tools/measure_marks.py                              # metadata and watermark
    python tools/measure_marks.py --certificate chain.pem --key key.pem    # C2PA manifests too (extra c2pa)

One head of the bundled model is written in every format; then Pillow, ffmpeg and trimesh open it and save it again.
Prints a Markdown table. Ends with 1 when a file of this package lacks a mark that its format can hold.
"""

import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import trimesh
import tyro
from PIL import Image

from panohead import Camera, load
from panohead.head import Head
from panohead.media.content_credentials import MIME_TYPES, SigningKey, sign_file
from panohead.media.ffmpeg import run_ffmpeg
from panohead.media.verification import FileMarks, find_marks
from panohead.media.watermark import watermarked
from panohead.mesh.export import write_mrc

IMAGES, VIDEOS = (".png", ".jpg", ".webp"), (".mp4", ".webm")
MESHES = (".glb", ".obj", ".ply", ".stl", ".3mf")


@dataclass(kw_only=True)
class Options:
    """What is written."""

    certificate: Path | None = None
    """Certificate for C2PA manifests, as ``panohead sign`` takes it."""
    key: Path | None = None
    """Its private key."""
    checkpoint: str = "demo"
    """Model whose head is written."""
    mesh_resolution: int = 64
    """Nodes per side of the meshes' grid."""


def written(head: Head, folder: Path, mesh_resolution: int) -> Iterator[Path]:
    """Write a head in every format and yield the files."""
    frame = head.render(Camera.orbit(yaw_deg=20))
    for suffix in IMAGES:
        yield frame.save(folder / f"image{suffix}")
    for suffix in (*VIDEOS, ".gif"):
        yield head.save_video(folder / f"video{suffix}", frames=4, fps=4)
    for suffix in MESHES:
        yield head.save_mesh(folder / f"mesh{suffix}", resolution=mesh_resolution)
    for suffix in (".ply", ".spz"):
        yield head.save_splats(folder / f"splats{suffix}", count=2000, steps=0)
    yield write_mrc(np.zeros((4, 4, 4), np.float32), folder / "density.mrc")
    yield head.save_html(folder / "page.html", resolution=mesh_resolution, frames=4)


def by_pillow(path: Path, suffix: str, **options: object) -> Path:
    """Open an image and save it as people do: nothing is passed on that Pillow does not pass on by itself."""
    new = path.with_name(f"{path.stem}_again{suffix}")
    with Image.open(path) as image:
        image.convert("RGB").save(new, **options)
    return new


def by_ffmpeg(path: Path, *options: str) -> Path:
    """Send a video through ffmpeg."""
    new = path.with_name(f"{path.stem}_again{path.suffix}")
    run_ffmpeg(path, ["-i", str(path), *options, str(new)])
    return new


def by_trimesh(path: Path) -> Path:
    """Open a mesh and export it."""
    new = path.with_name(f"{path.stem}_again{path.suffix}")
    trimesh.load_scene(path).export(new)
    return new


def changes_of(path: Path) -> dict[str, Callable[[], Path]]:
    """Return what is done to a file of this format, by its name in the table."""
    suffix = path.suffix
    if suffix in IMAGES or suffix == ".gif":
        again: dict[str, Callable[[], Path]] = {"saved again (Pillow)": lambda: by_pillow(path, suffix)}
        if suffix == ".png":
            again["saved as JPEG 80 (Pillow)"] = lambda: by_pillow(path, ".jpg", quality=80)
        return again
    if suffix in VIDEOS:
        return {
            "copied stream by stream (ffmpeg)": lambda: by_ffmpeg(path, "-c", "copy"),
            "encoded again (ffmpeg)": lambda: by_ffmpeg(path),
            "encoded again without metadata (ffmpeg)": lambda: by_ffmpeg(path, "-map_metadata", "-1"),
        }
    if suffix in MESHES[:-1] and path.stem == "mesh":  # trimesh reads 3MF with another package only
        return {"saved again (trimesh)": lambda: by_trimesh(path)}
    return {}


def row(name: str, change: str, found: FileMarks) -> str:
    """Return a row of the table."""
    credentials = "-" if not found.may_hold_credentials else "none"
    if found.credentials is not None:
        credentials = found.credentials.state
    pattern = "-"
    if found.watermark is not None:
        pattern = f"{'yes' if found.watermark.found else 'no'} ({found.watermark.score:.0f})"
    declared = found.declared.term or ("notice" if found.declared.notice else "no")
    return f"| {name} | {change} | {declared} | {credentials} | {pattern} |"


def lacks(found: FileMarks, signed: bool) -> bool:
    """Return True for a file of this package that lacks a mark which its format can hold."""
    manifest = found.credentials is not None and found.credentials.state == "valid"
    pattern = found.watermark is None or found.watermark.found
    return not found.declared.synthetic or (signed and found.may_hold_credentials and not manifest) or not pattern


def main(options: Options) -> int:
    """Print the table and return the exit code."""
    key = None
    if options.certificate is not None and options.key is not None:
        key = SigningKey(options.certificate, options.key)
    head, bad = load(options.checkpoint).sample(seed=0), 0
    print("| file | what was done to it | in its metadata | C2PA manifest | watermark (score) |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as place, watermarked():
        for path in written(head, Path(place), options.mesh_resolution):
            if key is not None and path.suffix in MIME_TYPES:
                sign_file(path, key, "trainedAlgorithmicMedia")
            found = find_marks(path)
            if path.suffix == ".gif" and found.watermark is not None:  # a palette holds no pattern
                found = FileMarks(found.declared, found.credentials, found.may_hold_credentials, None)
            bad += lacks(found, key is not None)
            name = f"{path.stem} {path.suffix}"
            print(row(name, "as it was written", found), flush=True)
            for change, make in changes_of(path).items():
                print(row(name, change, find_marks(make())), flush=True)
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main(tyro.cli(Options, description=__doc__)))
