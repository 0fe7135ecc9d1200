"""What several folders of tests share.

One thread per test process: pytest-xdist runs several, and small tensors are faster so. Nothing of panohead is imported
when this file is read: the shape checks of ``--jaxtyping-packages`` see only what is imported after it.
"""

import json
from pathlib import Path

import pytest
import torch

import typecheck

typecheck.install()
torch.set_num_threads(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the files with slow tests first, so that no process is left with them at the end.

    With ``--no-loadscope-reorder``; pytest-xdist alone would begin with the files that have the most tests.
    """
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture
def short_search(monkeypatch: pytest.MonkeyPatch) -> None:
    """``panohead reconstruct`` in this process searches shortly."""
    from inversion.short_search import configured_shortly
    from panohead.inversion.preset import InversionPreset

    monkeypatch.setattr(InversionPreset, "configure", configured_shortly)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of the tiny generator and an aligned crop with its label, for ``panohead reconstruct``."""
    import tiny
    from panohead.checkpoint import save_checkpoint
    from panohead.geometry import Camera
    from panohead.media import save_image
    from panohead.predictor import Predictor

    folder = tmp_path_factory.mktemp("reconstruct")
    generator = tiny.generator()
    save_checkpoint(folder / "tiny.safetensors", {"G_ema": generator})
    save_image(Predictor(generator).sample(5).render(Camera.orbit(10)).image, folder / "me.png")
    labels = [["me.png", Camera.orbit(10).to_label().tolist()]]
    (folder / "dataset.json").write_text(json.dumps({"labels": labels}))
    return folder
