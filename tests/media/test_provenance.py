"""The synthetic mark is in the file, where other programs look for it."""

import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from PIL import ExifTags, Image

from panohead.errors import PanoHeadError
from panohead.media.images import save_image
from panohead.media.marks import is_marked_synthetic
from panohead.media.provenance import NOTICE, append_gif_comment, xmp_packet
from panohead.media.video import VideoWriter

TERM = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
IMAGE = torch.linspace(-1, 1, 16).expand(3, 16, 16)


def xmp_of(content: bytes) -> bytes:
    """The packet as a byte scanner finds it, which is how most readers do."""
    found = re.search(rb"<\?xpacket begin=.*?<\?xpacket end=\"r\"\?>", content, re.DOTALL)
    assert found
    return found.group()


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp"])
def test_images_carry_the_iptc_term(tmp_path: Path, suffix: str) -> None:
    path = save_image(IMAGE, tmp_path / f"a{suffix}")
    assert is_marked_synthetic(path)
    packet = xmp_of(path.read_bytes())
    description = ElementTree.fromstring(packet).find(".//{http://www.w3.org/1999/02/22-rdf-syntax-ns#}Description")
    assert description is not None
    assert description.get("{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}DigitalSourceType") == TERM
    with Image.open(path) as image:
        if suffix == ".png":
            assert image.info["DigitalSourceType"] == TERM
            assert image.info["Comment"] == NOTICE
            assert image.info["Software"].startswith("PanoHead")
        else:
            assert image.getexif()[ExifTags.Base.ImageDescription] == NOTICE
            assert image.getexif()[ExifTags.Base.Software].startswith("PanoHead")


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp"])
def test_photographs_are_left_unmarked(tmp_path: Path, suffix: str) -> None:
    path = save_image(IMAGE, tmp_path / f"a{suffix}", source=None)
    assert not is_marked_synthetic(path)
    assert b"algorithmic" not in path.read_bytes().lower()


def test_other_terms(tmp_path: Path) -> None:
    for term in ("compositeWithTrainedAlgorithmicMedia", "algorithmicMedia"):
        path = save_image(IMAGE, tmp_path / "a.png", source=term)
        assert f"/{term}".encode() in xmp_of(path.read_bytes())
        assert is_marked_synthetic(path)
    assert xmp_packet("algorithmicMedia").decode().count("\ufeff") == 1


def test_a_foreign_mark_is_read_too(tmp_path: Path) -> None:
    """A file of another program that holds only the XMP term."""
    foreign = b'<x Iptc4xmpExt:DigitalSourceType="' + TERM.encode() + b'"/>'
    Image.new("RGB", (4, 4)).save(tmp_path / "a.webp", xmp=foreign)
    Image.new("RGB", (4, 4)).save(
        tmp_path / "b.webp", xmp=foreign.replace(b"trainedAlgorithmicMedia", b"digitalCapture")
    )
    assert is_marked_synthetic(tmp_path / "a.webp")
    assert not is_marked_synthetic(tmp_path / "b.webp")


def test_gif_comment(tmp_path: Path) -> None:
    path = tmp_path / "a.gif"
    frames = [Image.fromarray(np.full((8, 8, 3), k * 60, np.uint8)) for k in range(3)]
    frames[0].save(path, save_all=True, append_images=frames[1:])
    assert not is_marked_synthetic(path)
    append_gif_comment(path, "trainedAlgorithmicMedia")
    assert is_marked_synthetic(path)
    with Image.open(path) as image:
        assert image.n_frames == 3
        image.seek(2)
        assert np.asarray(image.convert("RGB"))[0, 0].tolist() == [120] * 3
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(PanoHeadError, match="not a complete GIF"):
        append_gif_comment(path, "trainedAlgorithmicMedia")


def test_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(PanoHeadError, match="does not exist"):
        is_marked_synthetic(tmp_path / "no.png")
    (tmp_path / "text.png").write_text("not an image")
    (tmp_path / "text.mp4").write_text("not a video")
    with pytest.raises(PanoHeadError, match="cannot read"):
        is_marked_synthetic(tmp_path / "text.png")
    with pytest.raises(PanoHeadError, match=r"text\.mp4"):
        is_marked_synthetic(tmp_path / "text.mp4")


def test_a_playlist_by_another_name_leads_to_no_other_file(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "other.mp4", fps=10, source="trainedAlgorithmicMedia") as video:
        video.write(np.zeros((16, 16, 3), np.uint8))
    assert is_marked_synthetic(tmp_path / "other.mp4")
    (tmp_path / "list.mp4").write_text("ffconcat version 1.0\nfile other.mp4\n")
    with pytest.raises(PanoHeadError, match=r"list\.mp4"):
        is_marked_synthetic(tmp_path / "list.mp4")
