"""Folder of a reconstruction: for one person only, with or without something to resume."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import tiny
from panohead.errors import PanoHeadError, UsageError
from panohead.geometry import Camera
from panohead.inversion import FastConfig, open_output_folder
from panohead.inversion.load_photos import check_photo_files, find_masks
from panohead.media.images import to_uint8
from panohead.predictor import Predictor


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Files of two photos; what is in them does not matter."""
    folder = tmp_path_factory.mktemp("photos")
    for name in ("a.png", "b.png", "copy_of_a.png"):
        (folder / name).write_bytes(name[-5:].encode())
    return [folder / "a.png", folder / "b.png", folder / "copy_of_a.png"]


def test_a_folder_is_made_and_has_nothing_to_resume(tmp_path: Path, photos: list[Path]) -> None:
    folder = open_output_folder(str(tmp_path / "new" / "folder"), [str(photos[0])])
    assert folder.path.is_dir()
    assert folder.notes == ()
    assert not folder.resume_file.resume
    assert "nothing to resume" in open_output_folder(folder.path, photos[:1], resume=True).notes[0]


def test_an_unfinished_run_is_resumed_or_replaced_with_a_note(tmp_path: Path, photos: list[Path]) -> None:
    state = open_output_folder(tmp_path, photos[:1]).resume_file.path
    state.write_bytes(b"state")
    assert open_output_folder(tmp_path, photos[:1], resume=True).notes == ()
    replaced = open_output_folder(tmp_path, photos[:1])
    assert "will be replaced" in replaced.notes[0]
    replaced.finish()
    assert not state.exists()


def test_the_head_of_other_photos_is_not_replaced(tmp_path: Path, photos: list[Path]) -> None:
    """Photos are told apart by their content, so a renamed one is the same."""
    predictor = Predictor(tiny.generator())
    crop = to_uint8(predictor.sample(5).render(Camera.orbit()).image)
    config = FastConfig(starts=0, coarse_steps=0, fine_steps=1, tuning_steps=0, w_samples=64)
    head = predictor.reconstruct([np.asarray(crop)], [Camera.orbit()], config=config)
    folder = open_output_folder(tmp_path, photos[:1])
    head.save(folder.path, photos=folder.digests)
    assert open_output_folder(tmp_path, photos[2:]).notes == ()
    for others in (photos[1:2], photos[:2]):
        with pytest.raises(PanoHeadError, match=r"holds the head of other photos \(a\.png\)"):
            open_output_folder(tmp_path, others)
    with pytest.raises(PanoHeadError, match="nothing is unfinished"):
        open_output_folder(tmp_path, photos[:1], resume=True)


def test_only_results_are_removed(tmp_path: Path, photos: list[Path]) -> None:
    folder = open_output_folder(tmp_path, photos[:1])
    results = [tmp_path / name for name in ("mesh.stl", "turntable.webm", "report.html", "turntable/frame_000.png")]
    others = [tmp_path / name for name in ("notes.txt", "latent.npz")]
    (tmp_path / "turntable").mkdir()
    for path in (*results, *others):
        path.write_bytes(b"x")
    folder.remove_results()
    assert not any(path.exists() for path in (*results, tmp_path / "turntable"))
    assert all(path.exists() for path in others)
    (tmp_path / "turntable").mkdir()
    (tmp_path / "turntable" / "mine.png").write_bytes(b"x")
    folder.remove_results()
    assert (tmp_path / "turntable" / "mine.png").exists()


def test_missing_and_ambiguous_files_are_refused(tmp_path: Path, photos: list[Path]) -> None:
    check_photo_files([photos[0], photos[0]], found_by_name=True)
    same_name = [photos[0], tmp_path / "a.png"]
    with pytest.raises(UsageError, match="two photos have the same file name"):
        check_photo_files(same_name, found_by_name=True)
    with pytest.raises(PanoHeadError, match=r"there is no photo .*a\.png; check the path"):
        check_photo_files(same_name, found_by_name=False)
    with pytest.raises(PanoHeadError, match="is a folder; give the photos in it"):
        check_photo_files([tmp_path], found_by_name=False)
    with pytest.raises(UsageError, match="0 photos were given; give 1 to 8"):
        check_photo_files([], found_by_name=False)
    with pytest.raises(PanoHeadError, match=r"cannot|No such file"):
        open_output_folder(tmp_path, [tmp_path / "none.png"])


def test_masks_are_found_by_name(tmp_path: Path, photos: list[Path]) -> None:
    mask = np.zeros((4, 4), np.uint8)
    mask[1:3] = 255
    Image.fromarray(mask).save(tmp_path / "a.webp", lossless=True)
    (found,) = find_masks(tmp_path, photos[:1])
    np.testing.assert_array_equal(found, mask)
    with pytest.raises(PanoHeadError, match=r"there is no mask of b\.png .*; give b\.png there"):
        find_masks(tmp_path, photos[:2])
