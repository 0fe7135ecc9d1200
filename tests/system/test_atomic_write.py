"""A file is there whole or not at all."""

from pathlib import Path

import pytest

from panohead.errors import PanoHeadError
from panohead.system.atomic_write import atomic_path, prepare_folder, unwritable, write_bytes


def test_appears_at_the_end_and_replaces(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "file.txt"
    with atomic_path(target) as temporary:
        temporary.write_text("one")
        assert temporary.suffix == ".txt"
        assert not target.exists()
    with atomic_path(target) as temporary:
        temporary.write_text("two")
        assert target.read_text() == "one"
    assert target.read_text() == "two"
    assert list(target.parent.iterdir()) == [target]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_failure_leaves_the_old_file_and_no_rest(tmp_path: Path, error: type[BaseException]) -> None:
    target = tmp_path / "file.txt"
    target.write_text("old")

    def stop_half_way() -> None:
        with atomic_path(target) as temporary:
            temporary.write_text("half")
            raise error

    with pytest.raises(error):
        stop_half_way()
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_full_disk_is_told_in_one_sentence(tmp_path: Path) -> None:
    with (
        pytest.raises(PanoHeadError, match=r"cannot write .*file\.txt \(No space left"),
        atomic_path(tmp_path / "file.txt"),
    ):
        raise OSError(28, "No space left on device")
    (tmp_path / "file").touch()
    with pytest.raises(PanoHeadError, match="choose another place"), atomic_path(tmp_path / "file" / "x.txt"):
        pass


@pytest.mark.parametrize(
    ("name", "reason"), [("a\0b.png", "zero byte"), ("n" * 5000, "too long"), ("folder", "it is a folder")]
)
def test_a_name_that_cannot_be_written_is_refused_before_the_work(name: str, reason: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(PanoHeadError, match=rf"cannot write .*{reason}.*choose another name"):
        prepare_folder(tmp_path / name)
    with pytest.raises(PanoHeadError, match="choose another name"):
        write_bytes(tmp_path / name, b"x")


def test_all_files_have_the_same_rights(tmp_path: Path) -> None:
    """safetensors writes files that only their owner may read; the umask decides, as for every other file."""
    import torch
    from safetensors.torch import save_file

    with atomic_path(tmp_path / "plain.txt") as temporary:
        temporary.write_text("text")
    with atomic_path(tmp_path / "weights.safetensors") as temporary:
        save_file({"weight": torch.zeros(2)}, temporary)
    modes = {path.stat().st_mode for path in tmp_path.iterdir()}
    assert len(modes) == 1


def test_what_may_not_be_written_needs_rights_and_no_space() -> None:
    assert str(unwritable(Path("a/b"), PermissionError(13, "Permission denied"))) == (
        "cannot write a/b (Permission denied); check the permissions of it and its folder, or choose another place"
    )
    assert "free the disk" in str(unwritable(Path("a/b"), OSError(28, "No space left on device")))
    assert "another folder" in str(unwritable(Path("a/b"), PermissionError(13, "x"), "choose another folder"))
