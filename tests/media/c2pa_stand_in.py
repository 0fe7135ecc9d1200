"""A stand-in for the package c2pa with the calls that we make: manifests are JSON behind the file, bound by a hash."""

import hashlib
import json
import types
import zlib
from typing import Any

_START, _END = b"jumb-c2pa-stand-in:", b":end"


class C2paError(Exception):
    """Error of the library."""


class Settings:
    """Settings of a context."""

    def __init__(self, values: dict[str, Any]) -> None:
        self.values = values

    @staticmethod
    def from_dict(values: dict[str, Any]) -> "Settings":
        return Settings(values)


class Context:
    """Context of builders and readers; refuses settings that would use the network or thumbnails."""

    def __init__(self, settings: Settings) -> None:
        assert settings.values["verify"] == {"remote_manifest_fetch": False, "ocsp_fetch": False}
        assert settings.values["builder"] == {"thumbnail": {"enabled": False}}


class C2paSignerInfo:
    """Algorithm, certificate and key as bytes."""

    def __init__(self, alg: bytes, sign_cert: bytes, private_key: bytes, ta_url: bytes | None) -> None:
        assert isinstance(alg, bytes)
        assert isinstance(sign_cert, bytes)
        assert ta_url is None
        if b"PRIVATE KEY" not in private_key:
            raise C2paError("invalid private key")


class Signer:
    """Signer of manifests."""

    @staticmethod
    def from_info(info: C2paSignerInfo) -> "Signer":
        return Signer()


class Builder:
    """Builder of one manifest."""

    def __init__(self, manifest: dict[str, Any], context: Context) -> None:
        self.manifest = manifest

    def sign(self, signer: Signer, mime: str, source: Any, target: Any) -> None:
        content = source.read()
        entry = {"manifest": self.manifest, "hash": hashlib.sha256(content).hexdigest()}
        payload = _START + json.dumps(entry).encode() + _END
        if mime == "image/png":  # a chunk before the last one
            chunk = len(payload).to_bytes(4, "big") + b"caBX" + payload
            chunk += zlib.crc32(chunk[4:]).to_bytes(4, "big")
            target.write(content[:-12] + chunk + content[-12:])
        else:
            target.write(content + payload)


class Reader:
    """Reader of the manifest in a stream."""

    def __init__(self, mime: str, stream: Any, context: Context) -> None:
        before, found, rest = stream.read().partition(_START)
        if not found:
            raise C2paError("ManifestNotFound: no JUMBF data found")
        manifest, _, after = rest.partition(_END)
        content = before[:-8] + after[4:] if mime == "image/png" else before + after
        self._entry = json.loads(manifest)
        self._fits = hashlib.sha256(content).hexdigest() == self._entry["hash"]

    def get_validation_state(self) -> str:
        return "Valid" if self._fits else "Invalid"

    def json(self) -> str:
        active = {**self._entry["manifest"], "signature_info": {"issuer": "Test Org"}}
        failures = [{"code": "signingCredential.untrusted"}]
        failures += [] if self._fits else [{"code": "assertion.dataHash.mismatch"}]
        results = {"activeManifest": {"failure": failures}}
        return json.dumps({"active_manifest": "a", "manifests": {"a": active}, "validation_results": results})


def module() -> types.ModuleType:
    """Return the stand-in as a module."""
    made = types.ModuleType("c2pa")
    for one in (C2paError, Settings, Context, C2paSignerInfo, Signer, Builder, Reader):
        setattr(made, one.__name__, one)
    return made
