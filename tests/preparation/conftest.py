"""A folder of drawn photos with poses and masks, so that a whole run needs no MediaPipe."""

from collections.abc import Callable
from pathlib import Path

import pytest

from drawn import DrawnFaces, DrawnMask, drawn_photo
from panohead.alignment.detectors import Detectors
from panohead.alignment.pose_file import GivenPose
from panohead.preparation.settings import PrepareSettings

BOX = (80.0, 60.0, 240.0, 250.0)


class DrawnSettings(PrepareSettings):
    """Settings whose detectors find faces without MediaPipe."""

    def open_detectors(self) -> Detectors:
        return Detectors(faces=DrawnFaces(), body=None, masker=DrawnMask())


@pytest.fixture
def photo_folder(tmp_path: Path) -> Callable[[int], Path]:
    """Makes ``photos`` and ``own`` (masks) with so many photos; returns the photos' folder."""

    def make(count: int) -> Path:
        for folder in ("photos", "own"):
            (tmp_path / folder).mkdir(exist_ok=True)
        for i in range(count):
            photo, mask = drawn_photo(i)
            photo.save(tmp_path / "photos" / f"p{i:02d}.png")
            mask.save(tmp_path / "own" / f"p{i:02d}.png")
        return tmp_path / "photos"

    return make


@pytest.fixture
def settings_for(tmp_path: Path) -> Callable[..., PrepareSettings]:
    """Settings with poses and masks for :func:`photo_folder`."""

    def make(out: str = "out", **changes: object) -> PrepareSettings:
        poses = {f"p{i:02d}.png": GivenPose(20.0 * i - 90.0, 5.0, 0.0, BOX) for i in range(12)}
        options: dict[str, object] = {"size": 64, "poses": poses, "masks": tmp_path / "own", **changes}
        return PrepareSettings(out=tmp_path / out, **options)  # type: ignore[arg-type]

    return make
