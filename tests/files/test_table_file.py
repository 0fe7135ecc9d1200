"""Tables of any separator and encoding."""

from pathlib import Path

import pytest

from panohead.alignment.pose_file import GivenPose, find_pose, read_poses
from panohead.errors import PanoHeadError
from panohead.files.table_file import decode_text, read_table

BOX = (10.0, 20.0, 110.0, 140.0)
POSE = GivenPose(-90.5, 0.0, 3.5, BOX)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
@pytest.mark.parametrize(
    "text",
    [
        'file,yaw_deg,pitch_deg,roll_deg,box\nsid\u00e9.jpg,-90.5,0,3.5,"10 20 110 140"\n',
        "file;yaw_deg;pitch_deg;roll_deg;box\r\nsid\u00e9.jpg;-90,5;0;3,5;10 20 110 140\r\n",
        "file\tyaw_deg\tpitch_deg\troll_deg\tbox\nsid\u00e9.jpg\t-90,5\t\t3,5\t10,0 20,0 110,0 140,0\n",
        "sep=;\nfile;yaw_deg;pitch_deg;roll_deg;box\nsid\u00e9.jpg;-90.5;0;3.5;10,20,110,140\n",
        '\n"file" | yaw_deg | pitch_deg | roll_deg | box\nsid\u00e9.jpg | \u221290.5 | 0 | 3.5 | [10;20;110;140]\n',
    ],
)
def test_tables_as_spreadsheets_write_them(tmp_path: Path, text: str, encoding: str) -> None:
    path = tmp_path / "poses.csv"
    path.write_bytes(text.encode(encoding))
    poses = read_poses(path)
    assert list(poses) == ["sid\u00e9.jpg"]
    assert find_pose(poses, "photos/sid\u00e9.png") == POSE


def test_windows_western_text_is_read() -> None:
    assert decode_text("sid\u00e9".encode("cp1252")) == "sid\u00e9"


def test_lines_are_counted_as_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("sep=,\n\nname,value\n\na,1\n,,\nb,2\n")
    columns, rows = read_table(path)
    assert columns == ["name", "value"]
    assert [(row.line, row.cells["name"]) for row in rows] == [(5, "a"), (7, "b")]


def test_a_box_alone_chooses_and_a_pitch_alone_is_no_pose(tmp_path: Path) -> None:
    path = tmp_path / "poses.csv"
    path.write_text('file,box\na.jpg,"10 20 110 140"\n')
    assert read_poses(path) == {"a.jpg": GivenPose(None, 0.0, 0.0, BOX)}
    path.write_text('file,yaw_deg,pitch_deg,box\na.jpg,,5,"10 20 110 140"\n')
    with pytest.raises(PanoHeadError, match="line 2: yaw_deg is missing"):
        read_poses(path)
    path.write_text("name;yaw\na;1\n")
    with pytest.raises(
        PanoHeadError, match=r"must begin with the line of column names file, .*; it begins with name, yaw"
    ):
        read_poses(path)
