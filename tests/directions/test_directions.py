"""Directions of w: linear algebra against its laws, statistics against drawn frames, the file and the command."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import tiny
from panohead.checkpoint import save_checkpoint
from panohead.cli.main import main
from panohead.directions import Directions, DirectionSettings, find_directions, load_directions, save_directions
from panohead.directions.find import conditional_directions, steps_of
from panohead.directions.principal import ganspace_directions, sampled_ws, sefa_directions
from panohead.directions.statistics import image_statistics, landmark_statistics
from panohead.errors import PanoHeadError, UsageError
from panohead.frame import Frame
from panohead.geometry import Camera
from panohead.predictor import Predictor
from panohead.stylegan import SynthesisLayer


def normal(*size: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*size, generator=torch.Generator().manual_seed(seed))


def test_principal_components_are_eigenvectors_of_the_covariance() -> None:
    ws = normal(400, 6) * torch.tensor([5.0, 1, 3, 0.5, 2, 0.1]) + 7
    found = ganspace_directions(ws, 3)
    values, vectors = torch.linalg.eigh(torch.cov(ws.T))
    for k in range(3):
        expected = vectors[:, -1 - k] * values[-1 - k].sqrt()
        torch.testing.assert_close(found[k].abs(), expected.abs(), rtol=1e-3, atol=1e-3)
        assert found[k, found[k].abs().argmax()] > 0


def test_styles_respond_most_to_the_first_direction_of_sefa() -> None:
    generator = tiny.generator()
    ws = sampled_ws(generator, 300, seed=1)
    units = torch.nn.functional.normalize(sefa_directions(generator, ws, 4), dim=1)
    torch.testing.assert_close(units @ units.T, torch.eye(4), rtol=0, atol=1e-4)
    rows = [m.affine.weight for m in generator.backbone.modules() if isinstance(m, SynthesisLayer)]
    stacked = torch.cat([torch.nn.functional.normalize(row, dim=1) for row in rows])
    response = (stacked @ units.T).norm(dim=0)
    assert torch.equal(response, response.sort(descending=True).values)
    others = torch.nn.functional.normalize(normal(50, 16, seed=3), dim=1)
    assert (stacked @ others.T).norm(dim=0).max() <= response[0] + 1e-5


def test_conditional_directions_are_those_that_made_the_heads() -> None:
    """Two statistics that go together in the sample are told apart."""
    effects = torch.tensor([[1.0, 0, 0, 0.5], [0, 2.0, 0, 0]])
    first = normal(500, 1)
    values = torch.cat([first, 0.7 * first + 0.5 * normal(500, 1, seed=1)], dim=1)
    ws = values @ effects + 3
    found = conditional_directions(ws, values, torch.eye(4))
    torch.testing.assert_close(found, effects * values.std(dim=0)[:, None], rtol=0.1, atol=0.1)
    marginal = torch.linalg.lstsq(values[:, :1] - values[:, :1].mean(), ws - ws.mean(dim=0)).solution
    assert marginal[0, 1] > 0.5, "one at a time they would not be"


def frame(image: torch.Tensor, mask: torch.Tensor) -> Frame:
    side = image.shape[-1]
    return Frame(image, image, torch.ones(1, side, side), mask, Camera.orbit())


def test_statistics_of_drawn_heads() -> None:
    gray, white = torch.zeros(3, 32, 32), torch.ones(3, 32, 32)
    narrow = torch.zeros(1, 32, 32)
    narrow[:, 4:, 12:20] = 1
    wide, haired = narrow.clone(), narrow.clone()
    wide[:, 4:20, 6:26] = 1
    haired[:, 24:31, 4:28] = 1
    plain = image_statistics(frame(gray, narrow))
    assert plain["brightness"] == pytest.approx(0.5)
    assert plain["warmth"] == pytest.approx(0)
    assert plain["hair_length"] == pytest.approx(0, abs=1e-6)
    assert plain["width"] == pytest.approx(8 / 32, abs=0.02)
    assert image_statistics(frame(white, narrow))["brightness"] == pytest.approx(1)
    assert image_statistics(frame(gray, wide))["width"] > plain["width"] + 0.2
    assert image_statistics(frame(gray, haired))["hair_length"] > 0.3
    red = torch.stack([torch.ones(32, 32), -torch.ones(32, 32), -torch.ones(32, 32)])
    assert image_statistics(frame(red, narrow))["warmth"] == pytest.approx(1)


def test_statistics_of_landmarks() -> None:
    points = np.zeros((468, 3))
    points[[234, 454], 0] = (0, 100)
    points[[61, 291], 0] = (30, 70)
    points[[33, 263], 0] = (20, 80)
    points[[13, 14], 1] = (50, 56)
    pixels = np.zeros((8, 8, 3), np.uint8)
    assert landmark_statistics(pixels, lambda _: points) == {"smile": 0.4, "mouth_open": pytest.approx(0.1)}
    assert landmark_statistics(pixels, lambda _: None) is None


@pytest.fixture(scope="module")
def found() -> tuple[Predictor, Directions]:
    predictor = Predictor(tiny.generator())
    steps: list[int] = []
    settings = DirectionSettings(heads=24, principal=2)
    directions = find_directions(predictor, settings, step=lambda: steps.append(1))
    assert len(steps) == steps_of(settings, with_landmarks=False)
    return predictor, directions


class DrawnHead:
    """A gray head whose level and width are linear in w; nothing else of it changes."""

    LEVEL, WIDTH = normal(16, seed=5) / 60, normal(16, seed=6) / 60

    def __init__(self, w: torch.Tensor) -> None:
        self.w = w

    def preview(self, camera: Camera) -> Frame:
        mask = torch.full((1, 32, 32), 0.5)
        mask[:, :20] += float(self.w @ self.WIDTH)
        return frame(torch.full((3, 32, 32), float(self.w @ self.LEVEL)), mask)


class DrawnHeads(Predictor):
    """The tiny generator's w, with drawn heads."""

    def from_w(self, ws):  # type: ignore[no-untyped-def]
        return DrawnHead(ws)


def test_named_directions_move_what_they_are_named_after() -> None:
    """Where statistics are linear in w each direction moves its own by one deviation, and not the others."""
    directions = find_directions(DrawnHeads(tiny.generator()), DirectionSettings(heads=200, principal=0))
    assert directions.names == ("brightness", "width"), "the others are the same for all heads"
    for name, other in (("brightness", "width"), ("width", "brightness")):
        figures = directions.figures[name]
        assert figures["correlation"] > 0.99
        assert figures["moved"][name] == pytest.approx(1, abs=0.05)
        assert abs(figures["moved"][other]) < 0.05
    level, width = (vector @ DrawnHead.LEVEL for vector in directions.vectors)
    assert level > 0
    assert abs(width) < 0.1 * level


def test_heads_move_along_straight_lines(found: tuple[Predictor, Directions]) -> None:
    predictor, directions = found
    assert directions.names == ("brightness", "warmth", "hair_length", "width", "principal1", "principal2")
    head = predictor.sample(3)
    assert torch.equal(directions.moved(head, {}).ws, head.ws)
    both = directions.moved(head, {"width": 1.5, "principal1": -2})
    one_by_one = directions.moved(directions.moved(head, {"principal1": -2}), {"width": 1.5})
    torch.testing.assert_close(both.ws, one_by_one.ws)
    torch.testing.assert_close((both.ws - head.ws)[0, 0], 1.5 * directions.vectors[3] - 2 * directions.vectors[4])
    with pytest.raises(UsageError, match="width is 100"):
        directions.moved(head, {"width": 100})
    with pytest.raises(UsageError, match="no attribute 'wdth'; did you mean width"):
        directions.moved(head, {"wdth": 1})
    other = Directions(("a",), torch.zeros(1, 7))
    with pytest.raises(UsageError, match="have 7 numbers and the head's w has 16"):
        other.moved(head, {"a": 1})


def test_file_gives_the_same_directions_and_refuses_others(found: tuple[Predictor, Directions], tmp_path: Path) -> None:
    directions = found[1]
    path = tmp_path / "directions.safetensors"
    save_directions(directions, path)
    again = load_directions(path)
    assert (again.names, again.checkpoint_sha256) == (directions.names, directions.checkpoint_sha256)
    assert again.figures == directions.figures
    torch.testing.assert_close(again.vectors, directions.vectors)
    with pytest.raises(PanoHeadError, match="there is no file"):
        load_directions(tmp_path / "missing.safetensors")
    (tmp_path / "text.safetensors").write_text("text")
    with pytest.raises(PanoHeadError, match="no readable file of directions"):
        load_directions(tmp_path / "text.safetensors")
    save_checkpoint(tmp_path / "model.safetensors", {"G_ema": tiny.generator()})
    with pytest.raises(PanoHeadError, match="holds no directions"):
        load_directions(tmp_path / "model.safetensors")
    metadata = {"panohead_directions": "1", "names": '["a", "b"]'}
    save_file({"vectors": torch.zeros(3, 4)}, tmp_path / "odd.safetensors", metadata=metadata)
    with pytest.raises(PanoHeadError, match="is damaged: 2 names"):
        load_directions(tmp_path / "odd.safetensors")


def test_the_command_and_what_generate_makes_of_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, other = tmp_path / "model.safetensors", tmp_path / "other.safetensors"
    save_checkpoint(model, {"G_ema": tiny.generator()})
    save_checkpoint(other, {"G_ema": tiny.generator(1)})
    out = tmp_path / "directions"
    command = ["directions", "--checkpoint", str(model), "--out", str(out), "--heads", "20", "--principal", "1"]
    assert main([*command, "--no-landmarks", "--method", "sefa"]) == 0
    assert "brightness: moves by" in capsys.readouterr().out
    assert {path.name for path in out.iterdir()} == {
        "directions.safetensors",
        "directions.png",
        "run.yaml",
        "settings.json",
    }
    file = str(out / "directions.safetensors")
    generate = ["generate", "--seeds", "0", "--yaws", "0", "--no-contact-sheet", "--checkpoint", str(model)]
    plain, moved = tmp_path / "plain", tmp_path / "moved"
    assert main([*generate, "--out", str(plain)]) == 0
    assert main([*generate, "--out", str(moved), "--directions", file, "--set", "principal1=3"]) == 0
    view = Path("seed0000") / "yaw+000.png"
    assert (plain / view).read_bytes() != (moved / view).read_bytes()
    refused = [
        (["--set", "principal9=1", "--directions", file], 2, "no attribute 'principal9'; did you mean principal1"),
        (["--set", "age=60"], 2, "which has no attribute encoder"),
        (["--directions", file], 2, "--directions does nothing without --set or --sweep"),
        (["--set", "width=1", "--directions", file, "--checkpoint", str(other)], 1, "belong to another checkpoint"),
    ]
    for options, code, words in refused:
        assert main([*generate, "--out", str(tmp_path / "out"), *options]) == code
        assert words in capsys.readouterr().err
