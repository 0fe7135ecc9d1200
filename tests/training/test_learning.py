"""Training makes heads out of noise; without a discriminator that learns, it does not."""

import json
from pathlib import Path

import pytest

from training.runs import SMALL, train

SETTINGS = ("tick_kimg=0.2", "state_ticks=1000", "snapshot_ticks=1000", "metric_ticks=1000", "metric_images=64")


def distances(run: Path) -> tuple[float, float]:
    """Sliced Wasserstein distance before and after."""
    lines = [json.loads(line) for line in (run / "stats.jsonl").read_text().splitlines()]
    measured = [line["sliced_wasserstein"] for line in lines if line.get("sliced_wasserstein") is not None]
    return measured[0], measured[-1]


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_distance_halves_with_the_adversary_and_not_without(tmp_path: Path) -> None:
    for frozen, kimg in ((False, 0.35), (True, 0.1)):  # after 0.1 the one has lost a third, the other gained a little
        run = tmp_path / f"frozen_{frozen}"
        extra = f"frozen_discriminator={str(frozen).lower()}"
        train(*SMALL, *SETTINGS, extra, "--out", str(run), "--kimg", str(kimg), output=tmp_path / "output.txt")
        before, after = distances(run)
        if frozen:
            assert after > 0.9 * before
        else:
            assert after < 0.5 * before
