"""What the tests of the command begin with."""

import json
from pathlib import Path

import pytest

import tiny
from panohead.checkpoint import save_checkpoint
from panohead.geometry import Camera
from panohead.media import save_image
from panohead.predictor import Predictor


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint and an aligned crop with its label."""
    folder = tmp_path_factory.mktemp("reconstruct")
    generator = tiny.generator()
    save_checkpoint(folder / "tiny.safetensors", {"G_ema": generator})
    save_image(Predictor(generator).sample(5).render(Camera.orbit(10)).image, folder / "me.png")
    labels = [["me.png", Camera.orbit(10).to_label().tolist()]]
    (folder / "dataset.json").write_text(json.dumps({"labels": labels}))
    return folder
