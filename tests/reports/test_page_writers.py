"""Every page that the package writes: whole, safe, self-contained and accessible, whatever it is told to show."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

import tiny
from pages import ParsedPage, parse_page
from panohead.gallery.demo import demo_page
from panohead.geometry import Camera
from panohead.head_page import write_head_page
from panohead.inversion import FastConfig, ReconstructedHead
from panohead.inversion.photo import HeadDetection
from panohead.inversion.report import write_report as write_reconstruction_report
from panohead.media.images import to_uint8
from panohead.predictor import Predictor
from panohead.preparation.records import CropRecord, PhotoRecord
from panohead.preparation.report import write_report as write_preparation_report
from panohead.reports import FrameSheet, HeadFigure, embedded, render_page
from panohead.training.run.report import write_report as write_training_report

HOSTILE = {
    "script": "<script>alert(1)<\\script>",
    "tag in a tag": '"><img src=x onerror=alert(1)>',
    "quotes": "' onclick='x' \"&amp;<b>",
    "bidi": "\u202egpj.exe\u2069 \u05d0",
    "controls": "a\nb\tc\x1b[31m\x07",
    "template": "{{ 7 * 7 }}{% raw %}",
    "long": "w" * 200,
    "scheme": "javascript:alert(1)",
}
"""None holds a slash, so that each can be the name of a file."""


def training_page(text: str, folder: Path) -> Path:
    """The page of a run whose name, statistics, notes, settings and snapshots are called ``text``."""
    run = folder / text
    (run / "snapshots").mkdir(parents=True)
    records = [{"kimg": i, text: 1.0 + i, "loss_generator": 0.5, "word": text, "list": [text]} for i in range(3)]
    (run / "stats.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    notes = [{"kimg": 1, "time": text, "note": text}, {"note": [text]}, {"kimg": text, "note": {text: text}}]
    (run / "notes.jsonl").write_text("".join(json.dumps(note) + "\n" for note in notes))
    for name in ("config.json", "environment.json"):
        (run / name).write_text(json.dumps({text: {text: text}, "list": [text]}))
    for i in range(5):
        Image.new("RGB", (4, 4)).save(run / "snapshots" / f"{text[:150]}{i}.png")
    return write_training_report(run)


def preparation_page(text: str, folder: Path) -> Path:
    """The page of a dataset whose photos, reasons, flags and notes are called ``text``."""
    crop = CropRecord(
        reason="", image="a.webp", mask="a.png", kind="coarse", method=text, confidence=0.5, yaw_deg=1.0, pitch_deg=2.0,
        roll_deg=0.0, residual=None, center=(1.0, 2.0), half_px=3.0, angle_deg=0.0, flags=(text,), core_px=100.0,
        sharpness=20.0, outside=0.0, face_visible=None, mask_coverage=0.5, mask_pieces=1, mask_largest=1.0,
        hash="0" * 16, label=(0.0,) * 25, overlay=f"report/{text}.jpg",
    )  # fmt: skip
    left_out = dataclasses.replace(crop, reason=text, kind=text)
    kept = PhotoRecord(photo=text, stamp=text, notes=(text,), crops=(crop, left_out))
    rejected = PhotoRecord(photo=text, stamp=text, reason=text, notes=(text,))
    (folder / "prepare.jsonl").write_text("".join(json.dumps(record.to_json()) + "\n" for record in (kept, rejected)))
    return write_preparation_report(folder, [text])


def head_figure(text: str) -> HeadFigure:
    """A head to turn that is called ``text``."""
    poster = embedded(Image.new("RGB", (2, 2)))
    sheet = FrameSheet(b"RIFF", side=16, columns=2, count=3)
    return HeadFigure(text, poster, frames=sheet, glb=b"glTF", title=text, note=text, file=text)


def offline_page(text: str, folder: Path) -> Path:
    """The offline page of two heads that are called ``text``, as the page is."""
    return write_head_page([head_figure(text), head_figure(text)], folder / "head.html", title=text)


def demonstration_page(text: str, folder: Path) -> Path:
    """The demo page of a checkpoint that says ``text`` about itself."""
    path = folder / "index.html"
    path.write_text(render_page(demo_page(text, head_figure(text))), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def head() -> ReconstructedHead:
    """A head of the tiny generator after a few steps."""
    predictor = Predictor(tiny.generator())
    crop = to_uint8(predictor.sample(5, truncation_psi=1.0).render(Camera.orbit(10)).image)
    config = FastConfig(starts=2, coarse_steps=2, fine_steps=2, tuning_steps=2, unseen_weight=0.0, w_samples=64)
    return predictor.reconstruct([crop], [Camera.orbit(10)], config=config)


def reconstruction_page(head: ReconstructedHead) -> Callable[[str, Path], Path]:
    """Make a writer of the page of a head whose photo, detection, notes, loss and files are called ``text``."""

    def write(text: str, folder: Path) -> Path:
        found = HeadDetection(overlay=Image.new("RGB", (8, 8)), method=text, confidence=0.5)
        photo = dataclasses.replace(head.photos[0], name=text, notes=(text,), found=found, kind="face")
        own, head.photos = head.photos, [photo]
        try:
            files = ["turntable.mp4", f"{text}.webm", text]
            write_reconstruction_report(
                head,
                folder / "report.html",
                preset=text,
                loss=text,
                notes=[text],
                files=files,
                viewer=head_figure(text),
            )
        finally:
            head.photos = own
        return folder / "report.html"

    return write


def read(write: Callable[[str, Path], Path], text: str, folder: Path) -> ParsedPage:
    folder.mkdir()
    return parse_page(write(text, folder).read_text(encoding="utf-8"))


@pytest.mark.parametrize("writer", ["training", "preparation", "demonstration", "offline", "reconstruction"])
def test_no_text_becomes_markup(writer: str, head: ReconstructedHead, tmp_path: Path) -> None:
    write = {
        "training": training_page,
        "preparation": preparation_page,
        "demonstration": demonstration_page,
        "offline": offline_page,
        "reconstruction": reconstruction_page(head),
    }[writer]
    harmless = read(write, "words", tmp_path / "harmless")
    for name, text in HOSTILE.items():
        page = read(write, text, tmp_path / name)
        # The same elements with the same attributes: the text is nowhere more than a text.
        assert page.names == harmless.names, name
        assert [a[:2] for a in page.attributes] == [a[:2] for a in harmless.attributes], name
        assert not any(c in page.all_text() for c in "\u202e\u2069\x1b\x07"), name
        shown = text.encode("unicode_escape").decode() if name == "controls" else text
        if name not in ("bidi", "controls"):
            assert shown in page.all_text(), name
    links = set(harmless.links())
    assert all(link.startswith("data:") or ":" not in link for link in links)


def test_reconstruction_page_shows_its_videos_and_curves(head: ReconstructedHead, tmp_path: Path) -> None:
    files = ["turntable.webm", "views.png"]
    write_reconstruction_report(head, tmp_path / "report.html", preset="fast", loss="none", files=files)
    page = parse_page((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert ("video", "src", "turntable.webm") in page.attributes
    assert {"turntable.webm", "views.png"} <= set(page.texts["a"])
    assert page.names.count("svg") == len({step.phase for step in head.log.steps} - {"screen"})
    assert "Seen or invented" in page.texts["h2"]


def test_preparation_report_goes_on_page_by_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("panohead.preparation.report.PHOTOS_PER_PAGE", 2)
    record = {"stamp": "", "reason": "not a photo", "remarks": [], "crops": [], "overlay": "report/a b.jpg"}
    lines = [json.dumps({"photo": f"photo {i}", **record}) + "\n" for i in range(5)]
    (tmp_path / "prepare.jsonl").write_text("".join(lines))
    first = write_preparation_report(tmp_path)
    assert first == tmp_path / "report.html"
    shown = []
    for name in ("report.html", "report/page_2.html", "report/page_3.html"):
        page = parse_page((tmp_path / name).read_text(encoding="utf-8"))
        shown += [text for text in page.texts["b"] if text.startswith("photo ")]
        pages = [link for link in page.links() if link.endswith(".html")]
        assert len(pages) == 4, "two others, above and below"
        assert all((tmp_path / name).parent.joinpath(link).is_file() for link in pages)
        sources = [link for tag, attribute, link in page.attributes if (tag, attribute) == ("img", "src")]
        assert set(sources) == {"report/a%20b.jpg" if name == "report.html" else "../report/a%20b.jpg"}
    assert shown == [f"photo {i}" for i in range(5)]
