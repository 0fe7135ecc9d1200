"""Recordings of ARKit weights: Live Link Face CSV and JSON, gaps, other rates, and one sentence for every mistake."""

import json
from pathlib import Path

import numpy as np
import pytest

from panohead.attributes.blendshape_file import read_blendshapes
from panohead.attributes.expressions import expression_attributes, gaze_of
from panohead.attributes.vocabulary import Vocabulary
from panohead.errors import PanoHeadError, UsageError
from panohead.synthetic.expressions import EXPRESSION_UNITS

JAW = EXPRESSION_UNITS.index("jawOpen")


def live_link(
    path: Path, frames: list[int], rate: int = 60, columns: str = "JawOpen,HeadYaw,HeadPitch,HeadRoll"
) -> Path:
    """A CSV as Live Link Face writes it, with the jaw open by a hundredth of the frame's number."""
    lines = [f"Timecode,BlendshapeCount,EyeBlinkLeft,{columns}"]
    for k in frames:
        seconds, frame = divmod(k, rate)
        lines.append(f"10:59:{seconds:02d}:{frame:02d}.250,61,0.1,{k / 100},0.2,-0.1,0")
    path.write_text("\n".join(lines) + "\n")
    return path


def test_live_link_rows_are_read_by_timecode(tmp_path: Path) -> None:
    track = read_blendshapes(live_link(tmp_path / "a.csv", list(range(90))))
    assert track.fps == pytest.approx(60)
    np.testing.assert_allclose(track.weights[:, JAW], np.arange(90) / 100)
    np.testing.assert_allclose(track.times, np.arange(90) / 60, atol=1e-9)
    assert track.pose is not None
    np.testing.assert_allclose(track.pose[5], [0.2, -0.1, 0])
    assert track.notes == ()


@pytest.mark.parametrize("rate", [24, 25, 30])
def test_other_rates_are_told_from_the_timecode(tmp_path: Path, rate: int) -> None:
    track = read_blendshapes(live_link(tmp_path / "a.csv", list(range(70)), rate))
    assert track.fps == pytest.approx(rate, abs=1e-3)
    halved = track.at(rate / 2)
    np.testing.assert_allclose(halved.weights[:, JAW], np.arange(35) * 2 / 100, atol=1e-9)
    assert len(track.at(rate).times) == 70


def test_gaps_and_empty_cells_are_bridged_and_said(tmp_path: Path) -> None:
    path = live_link(tmp_path / "a.csv", [k for k in range(90) if not 30 < k < 45])
    text = path.read_text().replace(",0.5,0.2", ",,0.2")
    path.write_text(text)
    track = read_blendshapes(path)
    assert any("gaps" in note for note in track.notes)
    assert any("empty cells" in note for note in track.notes)
    even = track.at(60)
    np.testing.assert_allclose(even.weights[:, JAW], np.arange(90) / 100, atol=1e-9)


def test_json_of_frames(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"fps": 25, "frames": [{"jawOpen": 0.1}, {"weights": {"jawOpen": 1.04}}]}))
    track = read_blendshapes(path)
    assert track.fps == 25
    np.testing.assert_allclose(track.weights[:, JAW], [0.1, 1.0])
    path.write_text(json.dumps([{"time": 2.0, "weights": {}}, {"time": 2.5, "weights": {"jawOpen": 1}}]))
    track = read_blendshapes(path)
    np.testing.assert_allclose(track.times, [0, 0.5])
    path.write_text(json.dumps([{"jawOpen": 0.5, "_neutral": 0.9}]))
    assert read_blendshapes(path).notes
    assert len(read_blendshapes(path).at(30).times) == 1


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("a.csv", "Timecode,JawOpn\n0:0:0:0,0.5\n", "did you mean jawOpen"),
        ("a.csv", "x,y\n1,2\n", "no column of an ARKit unit"),
        ("a.csv", "JawOpen\n2.5\n", "line 2: jawOpen is 2.5; weights go from 0 to 1"),
        ("a.csv", "JawOpen\nhello\n", "line 2: jawopen is 'hello'; give a number"),
        ("a.csv", "JawOpen\n", "holds no frame"),
        ("a.csv", "", "no column of an ARKit unit"),
        ("a.csv", "Timecode,JawOpen\nnoon,0.5\n", "Timecode is 'noon'"),
        ("a.csv", "Time,JawOpen\n1,0.5\n1,0.6\n", "frame 2 is not after"),
        ("a.json", '[{"jawopen": 0.5}]', "frame 1: there is no unit 'jawopen'; did you mean jawOpen"),
        ("a.json", '[{"jawOpen": -3}]', "jawOpen is -3; weights go from 0 to 1"),
        ("a.json", '[{"jawOpen": "wide"}]', "give a number from 0 to 1"),
        ("a.json", "[1]", "no object of weights"),
        ("a.json", '{"jawOpen": 0.5}', "no list of frames"),
        ("a.json", "[]", "holds no frame"),
        ("a.json", '{"fps": 0, "frames": [{}]}', "fps is 0"),
        ("a.txt", "", "neither .csv nor .json"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, name: str, text: str, sentence: str) -> None:
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises((PanoHeadError, UsageError), match=sentence):
        read_blendshapes(path)


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(PanoHeadError, match=r"none\.csv"):
        read_blendshapes(tmp_path / "none.csv")


def test_expressions_are_checked_and_turn_the_gaze() -> None:
    vocabulary = Vocabulary(EXPRESSION_UNITS, np.zeros(0), np.zeros((0, 0)))
    assert expression_attributes(vocabulary, {"jawOpen": "0.5"}) == {"jawOpen": 0.5}
    with pytest.raises(UsageError, match="did you mean mouthSmileLeft"):
        expression_attributes(vocabulary, {"mouthSmileLft": 0.5})
    for wrong in (1.5, -0.1, float("nan"), "wide"):
        with pytest.raises(UsageError, match="jawOpen is"):
            expression_attributes(vocabulary, {"jawOpen": wrong})
    left = gaze_of({"eyeLookOutLeft": 0.3, "eyeLookInRight": 0.3})
    assert left["gaze_x"] > 5
    assert left["gaze_y"] == 0
    assert gaze_of({"eyeLookInLeft": 0.3, "eyeLookOutRight": 0.3})["gaze_x"] == -left["gaze_x"]
    assert gaze_of({"eyeLookDownLeft": 0.3, "eyeLookDownRight": 0.3})["gaze_y"] < -5
    assert gaze_of({"eyeLookUpLeft": 1.0, "eyeLookUpRight": 1.0})["gaze_y"] == 15
