"""viser's page as this viewer serves it."""

import base64
import gzip
import io
import re

from PIL import Image

from panohead.viewer.page import OwnPage

PAGE = b"<!doctype html><html><head><title>Viser</title></head><body>x</body></html>"


def test_the_page_has_our_name_and_a_script_before_all_others() -> None:
    own = OwnPage()(PAGE, "identity")
    assert own.index(b"<head><script>") < own.index(b"<title>PanoHead</title>")
    assert b"fixedDpr" in own
    assert own.endswith(b"<body>x</body></html>")
    assert gzip.decompress(OwnPage()(gzip.compress(PAGE), "gzip")) == own


def test_the_first_image_stands_in_the_page() -> None:
    page = OwnPage(Image.new("RGB", (64, 64), (200, 90, 30)))
    own = page(PAGE, "identity").decode()
    assert "background: rgb(200, 90, 30)" in own
    found = re.search(r"base64,([^\"]+)", own)
    assert found is not None
    with Image.open(io.BytesIO(base64.b64decode(found[1]))) as image:
        assert image.size == (64, 64)
    assert page(PAGE, "identity").decode() == own, "made once"


def test_what_is_no_page_stays() -> None:
    assert OwnPage()(b"NOT FOUND", "identity") == b"NOT FOUND"
