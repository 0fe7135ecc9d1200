"""Poses that the user gives as a CSV file."""

from pathlib import Path

import pytest

from panohead.alignment.pose_file import GivenPose, find_pose, notes_on_poses, read_poses
from panohead.errors import PanoHeadError


def test_pose_files(tmp_path: Path) -> None:
    path = tmp_path / "poses.csv"
    path.write_text(
        "\ufefffile, yaw_deg, pitch_deg, roll_deg, box\n"
        "a/back.jpg, 180, 5,, \n"
        'side.jpg, -90, 0, 3.5, "10 20 110 140"\n'
        '"odd, name.png", 12, , , [1;2;3;4]\n',
        encoding="utf-8",
    )
    poses = read_poses(path)
    assert poses["a/back.jpg"] == GivenPose(180.0, 5.0, 0.0)
    assert poses["odd, name.png"].box == (1.0, 2.0, 3.0, 4.0)
    assert find_pose(poses, "photos/b/side.jpg") == GivenPose(-90.0, 0.0, 3.5, (10.0, 20.0, 110.0, 140.0))
    assert find_pose(poses, "photos/a/back.jpg") is not None
    assert find_pose(poses, "photos/b/back.jpg") is None


@pytest.mark.parametrize(
    "text",
    [
        "nothing",
        "file,yaw_deg\na.jpg,east",
        "file,yaw_deg,box\na.jpg,1,3 4",
        "file,yaw_deg,box\na.jpg,1,9 9 3 3",
        "file,yaw_deg\na,nan",
    ],
)
def test_bad_pose_files_are_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "poses.csv"
    path.write_text(text)
    with pytest.raises(PanoHeadError, match=r"poses\.csv"):
        read_poses(path)
    with pytest.raises(PanoHeadError, match="gone"):
        read_poses(tmp_path / "gone.csv")


def test_bad_rows_are_named_by_line(tmp_path: Path) -> None:
    path = tmp_path / "poses.csv"
    path.write_text("file,yaw_deg,box\na.jpg,1,\n,,\n\na.jpg,2,\nb.jpg,east,\nc.jpg,1,1,2,3,4\n,5,\nd.jpg,,\n")
    with pytest.raises(PanoHeadError) as caught:
        read_poses(path)
    parts = str(caught.value).split("; ")
    for start, word in (("line 5", "line 2"), ("line 6", "east"), ("line 7", "quotes"), ("line 8", "not named")):
        assert any(start in part and word in part for part in [*parts, str(caught.value)])
    assert "line 9: yaw_deg is missing" in str(caught.value)


def test_rows_of_no_photo_and_of_two() -> None:
    poses = {name: GivenPose(0.0, 0.0, 0.0) for name in ("x/a.jpg", "b.jpg", "gone.jpg")}
    notes = notes_on_poses(poses, ["p/x/a.jpg", "p/b.jpg", "q/b.jpg", "c.jpg"])
    assert len(notes) == 2
    assert notes[0] == "the pose of gone.jpg matches no photo"
    assert "b.jpg was used for 2 photos (p/b.jpg, q/b.jpg)" in notes[1]


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("a.png,99999,0,0", "line 2: yaw_deg is 99999; give a number from -3600 to 3600 degrees"),
        ("a.png,0,100,0", "line 2: pitch_deg is 100; give a number from -90 to 90 degrees"),
        ("a.png,0,0,1e9", "line 2: roll_deg is 1000000000; give a number from -3600 to 3600 degrees"),
    ],
)
def test_impossible_angles_are_named(row: str, words: str, tmp_path: Path) -> None:
    file = tmp_path / "poses.csv"
    file.write_text(f"file,yaw_deg,pitch_deg,roll_deg\n{row}\n")
    with pytest.raises(PanoHeadError, match=words):
        read_poses(file)
