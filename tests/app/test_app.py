"""The web form: what it makes, how it ends early, what it tells its visitors; with a stand-in for Gradio."""

import io
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trimesh
from PIL import Image

import tiny
from app.gradio_stand_in import Error, StandIn
from panohead.app import making
from panohead.app.form import FormSettings, build_form, launch_options
from panohead.app.making import MakeSettings, Progress, head_of_photo, head_of_seed
from panohead.app.space import write_space
from panohead.cli.main import main
from panohead.errors import PanoHeadError, UsageError
from panohead.head import Head
from panohead.media import is_marked_synthetic
from panohead.predictor import Predictor

SMALL = MakeSettings(frames=2, mesh_resolution=24)


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return Predictor(tiny.generator())


@pytest.fixture
def gradio(monkeypatch: pytest.MonkeyPatch) -> StandIn:
    made = StandIn()
    monkeypatch.setitem(sys.modules, "gradio", made)
    return made


@pytest.fixture
def meshes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Heads of the test generator have no surface: a box stands for it."""

    def box(head: Head, path: Path, **_: Any) -> Path:
        path.write_bytes(trimesh.creation.box().export(file_type="glb"))
        return path

    monkeypatch.setattr(Head, "save_mesh", box)


def photo() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (64, 64), "gray").save(buffer, "PNG")
    return buffer.getvalue()


def test_a_seed_gives_video_and_mesh(predictor: Predictor, meshes: None, tmp_path: Path) -> None:
    steps = list(head_of_seed(predictor, 3, 0.7, tmp_path / "new", SMALL))
    assert [steps[0].share, steps[-1].share, steps[-1].text] == [0.0, 1.0, "done"]
    assert [step.share for step in steps] == sorted(step.share for step in steps)
    assert steps[-1].files == (tmp_path / "new" / "head.mp4", tmp_path / "new" / "head.glb")
    assert is_marked_synthetic(tmp_path / "new" / "head.mp4")
    with pytest.raises(UsageError, match="seed"):
        list(head_of_seed(predictor, -1, 0.7, tmp_path, SMALL))


def test_photos_that_are_none_are_refused_in_a_sentence(predictor: Predictor, tmp_path: Path) -> None:
    with pytest.raises(PanoHeadError, match="the photo cannot be used"):
        list(head_of_photo(predictor, b"no photo", tmp_path, SMALL))


def test_errors_of_the_work_reach_the_visitor(
    predictor: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for raised, said in (
        (PanoHeadError("no face"), "no face"),
        (ValueError("x"), r"no head could be made \(ValueError\)"),
    ):

        def fail(*_: Any, error: Exception = raised) -> None:
            raise error

        monkeypatch.setattr(making, "reconstruct_photo", fail)
        with pytest.raises(PanoHeadError, match=said):
            list(head_of_photo(predictor, photo(), tmp_path, SMALL))


def test_closing_ends_the_work(predictor: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ended, begun = threading.Event(), threading.Event()

    def endless(_predictor: Any, _photo: Any, _camera: Any, job: Any, report: Any, *_: Any) -> None:
        begun.set()
        while not job.is_cancelled():
            report(0.5, "searching")
        ended.set()
        job.check()

    monkeypatch.setattr(making, "reconstruct_photo", endless)
    steps = head_of_photo(predictor, photo(), tmp_path, SMALL)
    assert next(steps) == Progress(0.0, "starting")
    assert next(steps) == Progress(0.4, "searching")
    assert begun.is_set()
    steps.close()  # type: ignore[attr-defined]
    assert ended.wait(20)
    assert not list(tmp_path.iterdir())


def test_a_long_step_neither_holds_up_closing_nor_meets_the_next_head(
    predictor: Predictor, meshes: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Gradio closes a cancelled iterator in the loop that serves everybody, and only while it has yielded."""
    step, in_step, removed = threading.Event(), threading.Event(), threading.Event()

    def long_step(_predictor: Any, _photo: Any, _camera: Any, job: Any, report: Any, *_: Any) -> None:
        report(0.0, "finding the head")
        in_step.set()
        assert step.wait(60)
        job.check()

    monkeypatch.setattr(making, "reconstruct_photo", long_step)
    steps = head_of_photo(predictor, photo(), tmp_path, SMALL, at_end=removed.set)
    while next(steps).text != "finding the head":
        pass
    assert in_step.wait(20)
    assert next(steps).text == next(steps).text == "finding the head", "it yields although nothing is new"
    steps.close()  # type: ignore[attr-defined]
    assert not step.is_set(), "closing did not wait for the step"
    after = head_of_seed(predictor, 3, 0.7, tmp_path / "next", SMALL)
    while not next(after).text.startswith("waiting for the head before"):
        pass
    assert not removed.is_set(), "its folder is still written to"
    step.set()
    assert list(after)[-1].files is not None
    assert removed.wait(20)


def pressed(gradio: StandIn, name: str, *values: Any) -> Iterator[tuple[Any, ...]]:
    """Press the button with this id."""
    (event,) = (one for one in gradio.events if one["button"].options["elem_id"] == name)
    yield from event["function"](*values)


def test_the_form(gradio: StandIn, predictor: Predictor, meshes: None) -> None:
    build_form(predictor, FormSettings(make=SMALL, queue=3))
    assert gradio.queued == {"max_size": 3, "default_concurrency_limit": 1}
    (blocks,) = (part for part in gradio.parts if part.kind == "Blocks")
    assert blocks.options["analytics_enabled"] is False
    kept: list[Path] = []
    for status, video, file in pressed(gradio, "sample", 1, 0.7):
        if video == "unchanged":
            assert "%: " in status
        else:
            assert status == "Done."
            kept = [Path(video), Path(file)]
            assert all(path.is_file() for path in kept)
    assert kept
    end = time.monotonic() + 20
    while any(path.exists() for path in kept):
        assert time.monotonic() < end, "Gradio has its own copies"
        time.sleep(0.01)
    makers = [event for event in gradio.events if event["button"].options["elem_id"] != "cancel"]
    (stop,) = (event for event in gradio.events if event["button"].options["elem_id"] == "cancel")
    assert stop["cancels"] == makers
    assert stop["function"] is None, "told once the page has left the event, not before"
    assert {event["concurrency_id"] for event in makers} == {"head"}


def test_what_the_status_says_after_the_end(gradio: StandIn, predictor: Predictor, tmp_path: Path) -> None:
    """Gradio calls the failure of an event that was cancelled, and of one that has raised."""
    build_form(predictor, FormSettings(make=SMALL))
    (status,) = (part for part in gradio.parts if part.options.get("elem_id") == "status")
    for event in gradio.events:
        if event["button"].options["elem_id"] != "cancel":
            (after,) = event["failures"]
            assert (after["inputs"], after["outputs"], after["queue"]) == ([status], [status], False)
            assert after["function"]("40%: searching") == "Cancelled."
            assert after["function"]("Done.") == "Done.", "cancelled while it waited in the queue"
            assert after["function"]("Nothing is being made.") == "Nothing is being made."
    (tmp_path / "a.png").write_text("no photo")
    said: list[str] = []

    def press() -> None:
        for values in pressed(gradio, "make", str(tmp_path / "a.png")):
            said.append(values[0])

    with pytest.raises(Error, match="the photo cannot be used"):
        press()
    assert after["function"](said[-1]) == said[-1] == "No head was made."


def test_the_form_tells_what_is_wrong(gradio: StandIn, predictor: Predictor, tmp_path: Path) -> None:
    build_form(predictor, FormSettings(make=SMALL))
    with pytest.raises(Error, match="Choose a photo first"):
        list(pressed(gradio, "make", None))
    (tmp_path / "a.png").write_text("<b>")
    with pytest.raises(Error, match="the photo cannot be used"):
        list(pressed(gradio, "make", str(tmp_path / "a.png")))
    with pytest.raises(Error, match="cannot be read"):
        list(pressed(gradio, "make", str(tmp_path / "gone.png")))


def test_nothing_is_shared_or_fetched(gradio: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GRADIO_ANALYTICS_ENABLED", raising=False)
    options = launch_options("127.0.0.1", 0, None)
    assert (options["share"], options["auth"], options["server_port"]) == (False, None, None)
    assert all(isinstance(font, str) for font in options["theme"]["font"]), "fonts of this machine"
    assert launch_options("0.0.0.0", 7860, "a" * 16)["auth"] == ("guest", "a" * 16)
    import os

    assert os.environ["GRADIO_ANALYTICS_ENABLED"] == "False"


def test_a_space(gradio: StandIn, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "space"
    assert main(["app", "--write-space", str(folder), "--checkpoint", "hf://user/model"]) == 0
    assert {path.name for path in folder.iterdir()} == {"app.py", "README.md", "requirements.txt"}
    code = (folder / "app.py").read_text()
    compile(code, "app.py", "exec")
    assert "load('hf://user/model')" in code
    assert "sdk: gradio\nsdk_version: 6.0.0\n" in (folder / "README.md").read_text()
    assert "panohead[face,hub]==" in (folder / "requirements.txt").read_text()
    with pytest.raises(PanoHeadError, match="exists; give another folder"):
        write_space(folder, "demo", "6.0.0")
    (tmp_path / "own.safetensors").write_bytes(b"")
    assert main(["app", "--write-space", str(folder), "--checkpoint", str(tmp_path / "own.safetensors")]) == 2
    assert "push_to_hub" in capsys.readouterr().err


def test_a_space_starts_no_form(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Wrong usage is said even where Gradio is missing."""
    words = ["app", "--write-space", str(tmp_path / "s"), "--checkpoint", "hf://a/b", "--port", "80"]
    assert main(words) == 2
    assert "--port does nothing with --write-space" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_others_need_a_password(gradio: StandIn, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["app", "--host", "0.0.0.0"]) == 2
    assert "give --token" in capsys.readouterr().err


def test_without_gradio_the_remedy_is_told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(sys.modules, "gradio", None)
    assert main(["app"]) == 1
    assert "pip install 'panohead[app]'" in capsys.readouterr().err
