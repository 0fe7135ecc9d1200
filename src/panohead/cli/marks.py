"""Commands about the marks of files: ``panohead verify`` reads them, ``panohead sign`` adds C2PA manifests."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import tyro

from panohead.cli.common import counting
from panohead.cli.running.common_options import Common, CommonOptions
from panohead.cli.running.messages import answer
from panohead.errors import PanoHeadError, UsageError


@dataclass(kw_only=True)
class Verify:
    """Read the synthetic marks of files. Exit code 1 when one has none: marks can be stripped, so that is no proof."""

    files: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Images, videos, meshes (glb, obj, ply, stl, 3mf, usdz), splats (ply, spz), volumes (mrc) and pages."""
    common: Common = field(default_factory=CommonOptions)

    def run(self) -> None:
        """Print a line a file: its metadata, its C2PA manifest, the watermark in its pixels.

        Raises:
            PanoHeadError: when a file has no mark or cannot be read, after all lines.
        """
        from panohead.media.verification import find_marks
        from panohead.system.text import printable

        if not self.files:
            raise UsageError("no file is named; give images, videos, meshes or pages")
        unmarked, broken = 0, 0
        for path in self.files:
            try:
                found = find_marks(path)
            except PanoHeadError as error:
                broken += 1
                answer(printable(str(error)))
                continue
            unmarked += not found.synthetic
            answer(printable(f"{path}: {found.sentence()}"))
        if unmarked or broken:
            parts = [f"{unmarked} without a mark"] * bool(unmarked) + [f"{broken} not readable"] * bool(broken)
            raise PanoHeadError(f"of {len(self.files)} files {' and '.join(parts)}; the lines above name them")


@dataclass(kw_only=True)
class Sign:
    """Put signed C2PA manifests into images and videos of this package, with a certificate of your own."""

    files: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """PNG, JPEG, WebP, GIF and MP4 files, or folders: then all such files in them that have a synthetic mark."""
    certificate: Path
    """PEM file with your certificate and those above it, yours first."""
    key: Path
    """PEM file with its private key, without a password."""
    algorithm: Literal["es256", "es384", "es512", "ps256", "ps384", "ps512", "ed25519"] = "es256"
    """Signature algorithm of the key."""
    common: Common = field(default_factory=CommonOptions)

    def run(self) -> None:
        """Sign the files in their places.

        Raises:
            PanoHeadError: when a named file has no synthetic mark, or cannot be signed.
        """
        from panohead.media.content_credentials import MIME_TYPES, SigningKey, import_c2pa, sign_file
        from panohead.media.marks import read_mark
        from panohead.media.provenance import COMPOSITE, GENERATED, RENDERED

        import_c2pa()
        known = {source: source for source in (GENERATED, COMPOSITE, RENDERED)}
        sources = {}
        for path, is_named in _expanded(self.files, MIME_TYPES):
            mark = read_mark(path)
            if mark.term in known:
                sources[path] = known[mark.term]
            elif is_named:
                raise PanoHeadError(f"{path} has no synthetic mark of this package; only what has one is signed")
        if not sources:
            raise UsageError("there is nothing to sign; give files of this package, or folders with some")
        key = SigningKey(self.certificate, self.key, self.algorithm)
        with counting("signing", len(sources)) as step:
            for path, source in sources.items():
                sign_file(path, key, source)
                step()
        answer(f"signed {len(sources)} files; 'panohead verify' reads what they say")


def _expanded(given: tuple[Path, ...], suffixes: "dict[str, str]") -> Iterator[tuple[Path, bool]]:
    """Yield files, and whether each was named itself."""
    for path in given:
        if path.is_dir():
            yield from ((file, False) for file in sorted(path.rglob("*")) if _is_signable(file, suffixes))
        else:
            yield path, True


def _is_signable(file: Path, suffixes: "dict[str, str]") -> bool:
    return file.is_file() and not file.is_symlink() and file.suffix.lower() in suffixes
