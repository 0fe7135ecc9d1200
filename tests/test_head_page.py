"""One offline file of a head: frames of the renderer, the exported mesh, marked as synthetic."""

import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import tiny
from pages import parse_page
from panohead import Camera
from panohead.errors import PanoHeadError, UsageError
from panohead.gallery import ViewStyle, styled_viewer
from panohead.head import Head
from panohead.head_page import head_figure, write_head_page
from panohead.media import is_marked_synthetic
from panohead.mesh.settings import MeshSettings
from panohead.splats import write_splats
from splats.test_rasterize import cloud

MESH = {"resolution": 32, "level": 2.0}


def head() -> Head:
    network = tiny.generator()
    network.decoder.output.weight[0] *= 20  # opaque inside, and empty outside
    network.decoder.output.bias[0] += 30
    return Head(network, network.mapping(torch.zeros(1, 8), torch.zeros(1, 25)))


def cells(facts: dict[str, Any]) -> list[np.ndarray]:
    sheet = Image.open(io.BytesIO(base64.b64decode(facts["image"])))
    side, columns = facts["side"], facts["columns"]
    assert sheet.width == columns * side
    boxes = [(i % columns * side, i // columns * side) for i in range(facts["count"])]
    return [np.asarray(sheet.crop((x, y, x + side, y + side))).astype(float) for x, y in boxes]


def test_page_holds_the_exported_mesh_and_the_rendered_frames(tmp_path: Path) -> None:
    one = head()
    path = one.save_html(tmp_path / "new" / "head.html", frames=13, title="T", alt="A head in words", **MESH)
    page = parse_page(path.read_text(encoding="utf-8"))
    (facts,) = page.head_facts()
    assert base64.b64decode(facts["mesh"]) == one.save_mesh(tmp_path / "head.glb", **MESH).read_bytes()
    found = cells(facts["frames"])
    assert len(found) == 13
    for i in (0, 4, 12):
        frame = one.render(Camera.orbit(360 * i / 13))
        side = found[i].shape[0]
        expected = np.asarray(frame.to_pil().resize((side, side), Image.Resampling.LANCZOS)).astype(float)
        opaque = found[i][..., 3] > 250
        assert opaque.mean() > 0.02
        assert np.abs(found[i][..., :3] - expected)[opaque].mean() < 12
        alpha = torch.nn.functional.interpolate(frame.alpha()[None], (side, side), mode="bilinear")[0, 0].numpy()
        assert np.abs(found[i][..., 3] / 255 - alpha).mean() < 0.03
    # Neighbors differ, so the law above can fail.
    assert np.abs(found[0] - found[4]).mean() > 1
    assert "A head in words" in page.values("alt")
    assert page.texts["h1"] == ["T"]
    assert path.stat().st_size < 4_000_000


def test_page_holds_the_splats_as_their_file(tmp_path: Path) -> None:
    splats = cloud(20)
    path = head().save_html(tmp_path / "head.html", frames=2, splats=splats, **MESH)
    (facts,) = parse_page(path.read_text(encoding="utf-8")).head_facts()
    assert base64.b64decode(facts["splats"]) == write_splats(splats, tmp_path / "head.spz").read_bytes()
    # Mesh and splats have the same unit in the file of each, the meter.
    assert (facts["splats_file"], facts["meter"]) == ("head_splats.spz", pytest.approx(1))


def test_page_and_its_images_are_marked_as_synthetic(tmp_path: Path) -> None:
    text = head().save_html(tmp_path / "head.html", frames=2, **MESH).read_text(encoding="utf-8")
    page = parse_page(text)
    assert "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia" in page.values("content")
    (facts,) = page.head_facts()
    sheet = tmp_path / "sheet.webp"
    sheet.write_bytes(base64.b64decode(facts["frames"]["image"]))
    assert is_marked_synthetic(sheet)
    assert "Synthetic media" in page.all_text()


def test_a_head_without_a_surface_is_shown_without_a_mesh(tmp_path: Path) -> None:
    path = head().save_html(tmp_path / "head.html", frames=2, resolution=16, level=1e9)
    page = parse_page(path.read_text(encoding="utf-8"))
    assert "mesh" not in page.head_facts()[0]
    assert "There is no mesh" in page.all_text()


@pytest.mark.parametrize(
    ("path", "options", "error"),
    [
        ("head.htmlx", {}, PanoHeadError),
        ("head.html", {"frames": 0}, UsageError),
        ("head.html", {"pitch_deg": 91}, UsageError),
        ("head.html", {"resolution": 3}, UsageError),
    ],
)
def test_impossible_arguments_are_refused(path: Any, options: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        head().save_html(path, **options)


def test_invented_parts_are_an_overlay_of_the_same_frames(tmp_path: Path) -> None:
    one = head()

    def upper_half(frame: Any) -> torch.Tensor:
        share = torch.zeros_like(frame.mask)
        share[:, : share.shape[1] // 2] = 1
        return share

    one.invented = upper_half  # type: ignore[assignment]
    viewer = head_figure(one, None, alt="a", frames=3)
    assert viewer.invented is not None
    for cell in cells(viewer.invented.facts()):
        middle = len(cell) // 2
        assert np.abs(cell[: middle - 1, :, 3] - 0.55 * 255).max() < 2
        assert cell[middle + 1 :, :, 3].max() < 2
        assert np.abs(cell[: middle - 1, :, :3] - [255, 0, 255]).mean() < 8


def test_a_chosen_background_stays_behind_the_head() -> None:
    plain = styled_viewer(head(), ViewStyle(), None, alt="a", frames=2, step=lambda: None)
    red = styled_viewer(head(), ViewStyle(background=(255, 0, 0)), None, alt="a", frames=2, step=lambda: None)
    assert plain.frames is not None
    assert red.frames is not None
    assert cells(plain.frames.facts())[0].shape[-1] == 4
    (corner, _) = cells(red.frames.facts())
    assert corner.shape[-1] == 3
    outside = cells(plain.frames.facts())[0][..., 3] < 5
    assert np.abs(corner[outside] - [255, 0, 0]).mean() < 10


def test_sharp_renderings_are_shown_first_and_soft_ones_after_the_mesh(monkeypatch: pytest.MonkeyPatch) -> None:
    mesh = head().mesh(**MESH)  # type: ignore[arg-type]
    monkeypatch.setattr("panohead.head_page._SHARP_SIDE", 129)  # of images of 128 pixels
    assert head_figure(head(), mesh, alt="a", frames=2).first == "mesh"
    assert head_figure(head(), None, alt="a", frames=2).first == "frames"
    monkeypatch.setattr("panohead.head_page._SHARP_SIDE", 128)
    assert head_figure(head(), mesh, alt="a", frames=2).first == "frames"


def test_settings_make_a_mesh(tmp_path: Path) -> None:
    settings = MeshSettings(resolution=32, level=2.0)
    steps: list[int] = []
    viewer = styled_viewer(head(), ViewStyle(), settings, alt="a", frames=4, step=lambda: steps.append(1))
    assert len(steps) == 4
    assert viewer.glb == head().mesh(**vars(settings)).export(file_type="glb")
    page = write_head_page([viewer, viewer], tmp_path / "two.HTML", title="t")
    assert len(parse_page(page.read_text(encoding="utf-8")).head_facts()) == 2
