"""A folder of drawn photos with poses and masks, so that a whole run needs no MediaPipe."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from panohead.data.align_tools import AlignmentTools
from panohead.data.face_canonical import canonical_face
from panohead.data.pose_sidecar import GivenPose
from panohead.data.prepare_settings import PrepareSettings

SIDE = 320
BOX = (80.0, 60.0, 240.0, 250.0)


def drawn_photo(seed: int) -> tuple[Image.Image, Image.Image]:
    """A noisy ellipse and its mask."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:SIDE, 0:SIDE].astype(float)
    head = (((x - 160) / 75) ** 2 + ((y - 155) / 95) ** 2 < 1).astype(float)
    coarse = np.array(Image.fromarray(rng.integers(0, 255, (20, 20, 3), dtype=np.uint8)).resize((SIDE, SIDE)))
    pixels = coarse * (0.4 + 0.6 * head[..., None]) + rng.normal(0, 12, (SIDE, SIDE, 3))
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)), Image.fromarray((head * 255).astype(np.uint8))


class DrawnFaces:
    """Stands for MediaPipe: a face in the middle of whatever is large enough and not of one colour."""

    def faces(self, image: np.ndarray, most: int) -> list[np.ndarray]:
        if min(image.shape[:2]) < 64 or image.std() < 5:
            return []
        scale, middle = 6.6 * min(image.shape[:2]) / SIDE, np.array([image.shape[1], image.shape[0]]) / 2
        face = canonical_face()
        return [np.concatenate([face[:, :2] * [scale, -scale] + middle, -scale * face[:, 2:]], axis=1)]


class DrawnMask:
    """An oval, whatever the picture."""

    def mask(self, image: np.ndarray) -> np.ndarray:
        y, x = np.mgrid[-1 : 1 : image.shape[0] * 1j, -1 : 1 : image.shape[1] * 1j]
        return ((x / 0.8) ** 2 + (y / 0.9) ** 2 < 1).astype(np.float64)


class DrawnSettings(PrepareSettings):
    """Settings whose tools find faces without MediaPipe."""

    def tools(self) -> AlignmentTools:
        return AlignmentTools(faces=DrawnFaces(), body=None, masker=DrawnMask())


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
