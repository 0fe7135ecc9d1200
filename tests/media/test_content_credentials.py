"""C2PA manifests: with the real library where it is installed, and with a stand-in everywhere."""

import datetime
import importlib.util
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from media import c2pa_stand_in
from panohead.cli.main import main
from panohead.errors import PanoHeadError, UsageError
from panohead.frame import Frame
from panohead.geometry import Camera
from panohead.media import VideoWriter, save_image
from panohead.media.content_credentials import SigningKey, read_credentials, sign_file
from panohead.media.marks import read_mark
from panohead.media.provenance import COMPOSITE, GENERATED
from panohead.media.verification import find_marks

IMAGE = torch.linspace(-1, 1, 64).expand(3, 64, 64)
HAS_LIBRARY = importlib.util.find_spec("c2pa") is not None and importlib.util.find_spec("cryptography") is not None
SUFFIXES = ("png", "jpg", "webp", "gif", "mp4")


@pytest.fixture(
    params=["stand-in", pytest.param("real", marks=pytest.mark.skipif(not HAS_LIBRARY, reason="needs c2pa"))]
)
def key(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SigningKey:
    """A certificate under one of a test authority, and its key."""
    if request.param == "stand-in":
        monkeypatch.setitem(sys.modules, "c2pa", c2pa_stand_in.module())
        (tmp_path / "chain.pem").write_text("-----BEGIN CERTIFICATE-----\n")
        (tmp_path / "key.pem").write_text("-----BEGIN PRIVATE KEY-----\n")
    else:
        write_chain(tmp_path)
    return SigningKey(tmp_path / "chain.pem", tmp_path / "key.pem")


def write_chain(folder: Path) -> None:
    """Write chain.pem and key.pem, as docs/marks.md does with openssl."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    keys = {name: ec.generate_private_key(ec.SECP256R1()) for name in ("authority", "signer")}
    now, certificates = datetime.datetime.now(datetime.UTC), []
    for name, private in reversed(keys.items()):
        is_authority = name == "authority"
        parts = [(NameOID.ORGANIZATION_NAME, "Test Org"), (NameOID.COMMON_NAME, name)]
        issuer = [(NameOID.ORGANIZATION_NAME, "Test Org"), (NameOID.COMMON_NAME, "authority")]
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(*part) for part in parts]))
            .issuer_name(x509.Name([x509.NameAttribute(*part) for part in issuer]))
            .public_key(private.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=30))
            .add_extension(x509.BasicConstraints(is_authority, None), critical=True)
            .add_extension(
                x509.KeyUsage(True, False, False, False, False, is_authority, is_authority, False, False), critical=True
            )
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(keys["authority"].public_key()), critical=False
            )
        )
        if not is_authority:
            usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION])
            builder = builder.add_extension(usage, critical=False)
        certificates.append(builder.sign(keys["authority"], hashes.SHA256()))
    pem = serialization.Encoding.PEM
    (folder / "chain.pem").write_bytes(b"".join(one.public_bytes(pem) for one in certificates))
    secret = keys["signer"].private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "key.pem").write_bytes(secret)


def written(folder: Path) -> list[Path]:
    paths = [save_image(IMAGE, folder / f"a.{suffix}") for suffix in ("png", "jpg", "webp")]
    for suffix in ("gif", "mp4"):
        with VideoWriter(folder / f"a.{suffix}", fps=4) as video:
            for level in (0, 200):
                video.write(np.full((64, 64, 3), level, np.uint8))
        paths.append(folder / f"a.{suffix}")
    return paths


def test_every_format_is_signed_and_read(key: SigningKey, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "out"
    paths = written(folder)
    assert all(read_credentials(path) is None for path in paths)
    (folder / "notes.txt").write_text("mine")
    words = ["sign", str(folder), "--certificate", str(key.certificate), "--key", str(key.key), "--quiet"]
    assert main(words) == 0
    assert capsys.readouterr().out.startswith("signed 5 files")
    for path in paths:
        found = read_credentials(path)
        assert found is not None
        assert (found.state, found.issuer, found.terms, found.synthetic) == ("valid", "Test Org", (GENERATED,), True)
        assert read_mark(path).term == GENERATED, "the other mark stays"
        if path.suffix != ".mp4":
            with Image.open(path) as image:
                image.load()
    assert main(["verify", *map(str, paths)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(paths)
    for line in lines:
        assert f"valid C2PA manifest ({GENERATED}), signed by Test Org, whom nobody has confirmed" in line


def test_a_changed_file_is_told_from_a_whole_one(key: SigningKey, tmp_path: Path) -> None:
    path = save_image(IMAGE, tmp_path / "a.jpg")
    sign_file(path, key, GENERATED)
    content = bytearray(path.read_bytes())
    # A byte of the compressed pixels of the JPEG: before the end of image that precedes what the stand-in appends.
    content[content.rindex(b"\xff\xd9") - 8] ^= 1
    path.write_bytes(content)
    found = read_credentials(path)
    assert found is not None
    assert (found.state, found.problem, found.synthetic) == ("invalid", "assertion.dataHash.mismatch", False)
    assert "an INVALID C2PA manifest (assertion.dataHash.mismatch)" in find_marks(path).sentence()


def test_stripped_files_say_so(key: SigningKey, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = save_image(IMAGE, tmp_path / "a.png")
    sign_file(path, key, GENERATED)
    Image.fromarray(np.asarray(Image.open(path))).save(tmp_path / "stripped.png")
    assert main(["verify", str(tmp_path / "stripped.png")]) == 1
    out, err = capsys.readouterr()
    assert out.endswith("stripped.png: no synthetic mark in its metadata; no C2PA manifest; no watermark\n")
    assert "1 without a mark" in err


def test_wrong_keys_and_files_are_refused(key: SigningKey, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = save_image(IMAGE, tmp_path / "a.png")
    before = path.read_bytes()
    for wrong in (SigningKey(key.certificate, key.certificate), SigningKey(key.certificate, tmp_path / "none.pem")):
        with pytest.raises(PanoHeadError, match=r"cannot be (used|read)"):
            sign_file(path, wrong, GENERATED)
    (tmp_path / "text.pem").write_text("no key")
    with pytest.raises(PanoHeadError, match="is no PEM file"):
        sign_file(path, SigningKey(key.certificate, tmp_path / "text.pem"), GENERATED)
    with pytest.raises(UsageError, match="cannot hold a manifest"):
        sign_file(tmp_path / "head.glb", key, GENERATED)
    assert path.read_bytes() == before
    photo = save_image(IMAGE, tmp_path / "photo.png", source=None)
    arguments = ["--certificate", str(key.certificate), "--key", str(key.key)]
    assert main(["sign", str(photo), *arguments]) == 1
    assert "has no synthetic mark" in capsys.readouterr().err
    (tmp_path / "empty").mkdir()
    assert main(["sign", str(tmp_path / "empty"), *arguments]) == 2
    assert list(tmp_path.glob(".*")) == []


def test_without_the_package_a_manifest_is_seen_but_not_read(
    key: SigningKey, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = save_image(IMAGE, tmp_path / "a.png")
    sign_file(path, key, GENERATED)
    monkeypatch.setitem(sys.modules, "c2pa", None)
    found = read_credentials(path)
    assert found is not None
    assert found.state == "unread"
    assert "pip install 'panohead[c2pa]'" in find_marks(path).sentence()
    assert main(["sign", str(path), "--certificate", str(key.certificate), "--key", str(key.key)]) == 1
    assert "pip install 'panohead[c2pa]'" in capsys.readouterr().err


def test_a_photo_behind_a_head_makes_a_composite(tmp_path: Path) -> None:
    frame = Frame(IMAGE, IMAGE, torch.ones(1, 64, 64), torch.ones(1, 64, 64), Camera.orbit(0, 0))
    photo = Image.new("RGB", (64, 64), "green")
    for view, term in ((frame, GENERATED), (frame.on((1, 2, 3)), GENERATED), (frame.on(photo), COMPOSITE)):
        assert read_mark(view.save(tmp_path / "a.png")).term == term
        view.to_pil().save(tmp_path / "b.webp")
        assert read_mark(tmp_path / "b.webp").term == term


def test_the_key_is_in_no_file(key: SigningKey, tmp_path: Path) -> None:
    path = save_image(IMAGE, tmp_path / "a.png")
    sign_file(path, key, GENERATED)
    assert b"PRIVATE" not in path.read_bytes()
    shutil.copy(path, tmp_path / "copy.png")
    assert read_credentials(tmp_path / "copy.png") == read_credentials(path)
