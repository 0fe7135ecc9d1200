"""C2PA manifests ("content credentials"): signed statements in PNG, JPEG, WebP, GIF and MP4 files about their origin.

Signing is asked for with a certificate of the user's own (``panohead sign``); it needs the extra ``c2pa``. Nothing is
fetched: neither manifests that are stored elsewhere, nor lists of trusted or revoked certificates, nor time stamps. So
a manifest is checked for what the file alone can show: that it fits the file, and was signed by the key of the
certificate in it.
"""

import importlib
import json
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

from panohead.errors import PanoHeadError, UsageError
from panohead.files.read_json import parse_json
from panohead.files.regular import open_regular, read_text
from panohead.media.provenance import SourceType, software, source_uri
from panohead.system.atomic_write import atomic_path
from panohead.system.optional import failure_of

MIME_TYPES = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".webp": "image/webp",
    ".gif": "image/gif",
    ".mp4": "video/mp4",
}
"""Formats that can hold a manifest, by suffix."""
Algorithm = Literal["es256", "es384", "es512", "ps256", "ps384", "ps512", "ed25519"]
_TERM = re.compile(r"digitalsourcetype/(\w+)")
_SETTINGS = {
    "builder": {"thumbnail": {"enabled": False}},
    "verify": {"remote_manifest_fetch": False, "ocsp_fetch": False},
}
"""Thumbnails would make files several times as large; the others are the network."""
_MAX_PEM_BYTES = 100_000
_JUMBF = (b"c2pa", b"jumb")
"""Words that a manifest store holds, in every format."""


@dataclass(frozen=True)
class SigningKey:
    """Certificate and private key of the signer.

    Attributes:
        certificate: PEM file of the certificate and those above it, the signer's first.
        key: PEM file of the private key (PKCS #8, without a password).
        algorithm: signature algorithm of the key.
    """

    certificate: Path
    key: Path
    algorithm: Algorithm = "es256"


@dataclass(frozen=True)
class Credentials:
    """Content of a manifest, and whether the file bears it out.

    Attributes:
        state: "valid": it fits the file and the signature is right; "invalid": the file was changed after it was
            signed, or the signature is wrong; "unread": it is there, and there is no package to read it.
        issuer: organization in the signer's certificate, which nobody has confirmed; None where it is unread.
        terms: IPTC digital source types of its actions.
        problem: code of the first failure, of an invalid one.
    """

    state: Literal["valid", "invalid", "unread"]
    issuer: str | None = None
    terms: tuple[str, ...] = ()
    problem: str | None = None

    @property
    def synthetic(self) -> bool:
        """It fits the file and says that an algorithm made it, or a part of it."""
        return self.state == "valid" and any(term.lower().endswith("algorithmicmedia") for term in self.terms)


def sign_file(path: Path, key: SigningKey, source: SourceType) -> None:
    """Put a signed manifest into a file, in its place; one that is there becomes the new one's history.

    Args:
        path: PNG, JPEG, WebP, GIF or MP4 file.
        key: certificate and key.
        source: IPTC term of how the file was made.

    Raises:
        UsageError: for another format.
        PanoHeadError: when the package is missing, or certificate, key or file cannot be used.
    """
    mime = MIME_TYPES.get(path.suffix.lower())
    if mime is None:
        raise UsageError(f"{path} cannot hold a manifest; sign {', '.join(MIME_TYPES)} files")
    library = import_c2pa()
    signer = _signer(library, key)
    action = {"action": "c2pa.created", "digitalSourceType": source_uri(source), "softwareAgent": {"name": software()}}
    name, _, version = software().partition(" ")
    manifest = {
        "claim_generator_info": [{"name": name, "version": version or "0"}],
        "title": path.name,
        "assertions": [{"label": "c2pa.actions.v2", "data": {"actions": [action]}}],
    }
    try:
        with atomic_path(path) as temporary, open_regular(path) as original, temporary.open("w+b") as signed:
            library.Builder(manifest, context=_context(library)).sign(signer, mime, original, signed)
            shutil.copymode(path, temporary)
    except PanoHeadError:
        raise
    except (OSError, library.C2paError) as error:
        raise PanoHeadError(
            f"{path} cannot be signed ({_short(error)}); check that it is a whole {mime} file"
        ) from error


def read_credentials(path: Path) -> Credentials | None:
    """Read and check the manifest in a file; None where there is none, or the format can hold none.

    Raises:
        PanoHeadError: when the file cannot be read.
    """
    mime = MIME_TYPES.get(path.suffix.lower())
    if mime is None or not _holds_manifest(path):
        return None
    try:
        library = import_c2pa()
    except PanoHeadError:
        return Credentials("unread")
    try:
        with open_regular(path) as file:
            reader = library.Reader(mime, file, context=_context(library))
            known = parse_json(reader.json(), dict[str, Any], f"the C2PA manifest of {path}", remedy="sign it again")
            state = reader.get_validation_state()
    except (OSError, ValueError, PanoHeadError, library.C2paError) as error:
        return None if "ManifestNotFound" in str(error) else Credentials("invalid", problem=_short(error))
    active = known.get("manifests", {}).get(known.get("active_manifest"), {})
    failures = [status.get("code", "") for status in _failures(known)]
    issuer = active.get("signature_info", {}).get("issuer")
    terms = tuple(dict.fromkeys(_TERM.findall(json.dumps(active.get("assertions", [])))))
    if state not in ("Valid", "Trusted"):
        return Credentials("invalid", issuer, terms, next(iter(failures), None))
    return Credentials("valid", issuer, terms)


def _failures(known: dict[str, Any]) -> list[dict[str, Any]]:
    found = (known.get("validation_results") or {}).get("activeManifest", {}).get("failure", [])
    return [status for status in found if status.get("code") != "signingCredential.untrusted"]


def _holds_manifest(path: Path) -> bool:
    """Return whether the bytes of a file hold the names of a manifest's boxes, without any package."""
    try:
        with open_regular(path) as file:
            size, step, tail = os.fstat(file.fileno()).st_size, 1 << 22, b""
            found: set[bytes] = set()
            while size > 0 and (part := file.read(step)):
                found |= {word for word in _JUMBF if word in tail + part}
                tail = part[-8:]
            return len(found) == len(_JUMBF)
    except OSError as error:
        raise PanoHeadError(f"cannot read {path} ({error.strerror or error}); check the path") from error


def import_c2pa() -> ModuleType:
    """Return the package.

    Raises:
        PanoHeadError: when it cannot be imported here, with the remedy.
    """
    try:
        return importlib.import_module("c2pa")
    except ImportError as error:
        why = failure_of("c2pa", error)
        raise PanoHeadError(f"C2PA manifests need the package c2pa-python ({why.reason}); {why.remedy}") from error


def _context(library: ModuleType) -> Any:
    return library.Context(settings=library.Settings.from_dict(_SETTINGS))


def _signer(library: ModuleType, key: SigningKey) -> Any:
    texts = {}
    for what, path in (("certificate", key.certificate), ("private key", key.key)):
        try:
            texts[what] = read_text(path, _MAX_PEM_BYTES)
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is no text"
            raise PanoHeadError(f"the {what} {path} cannot be read ({reason}); give a PEM file") from error
        if "-----BEGIN" not in texts[what]:
            raise PanoHeadError(f"the {what} {path} is no PEM file; give one that begins with -----BEGIN")
    try:
        certificate, private = texts["certificate"].encode(), texts["private key"].encode()
        # No address of a server for time stamps: nothing is asked of the network.
        info = library.C2paSignerInfo(key.algorithm.encode(), certificate, private, None)
        return library.Signer.from_info(info)
    except (library.C2paError, ValueError) as error:
        raise PanoHeadError(
            f"{key.certificate} and {key.key} cannot be used for {key.algorithm} ({_short(error)}); give the "
            "certificate and those above it, the key that belongs to it, and its algorithm"
        ) from error


def _short(error: Exception) -> str:
    return " ".join(str(getattr(error, "strerror", None) or error).split())[:160]
