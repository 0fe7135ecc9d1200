"""The multi-view warm start as the first stage of a run, resumable; adversarial training follows."""

import time
from dataclasses import replace
from pathlib import Path

from panohead.models.generator import Generator
from panohead.training.config import TrainConfig
from panohead.training.distributed.interruption import stop_on_signals
from panohead.training.distributed.ranks import Ranks, average
from panohead.training.networks import TrainingNetworks
from panohead.training.run.checkpoint import load_latest_state, save_state
from panohead.training.run.log import showing
from panohead.training.warm_start.fit import WarmStart
from panohead.training.warm_start.multiview import MultiViewData, load_multiview

FOLDER = "warm_start"
"""Folder of the fit's states inside the run's folder."""
SAVE_EVERY_S = 120.0
"""Maximum seconds between two saved states of the fit, when steps are short."""


def warm_start(
    networks: TrainingNetworks,
    config: TrainConfig,
    data: Path,
    run: Path,
    ranks: Ranks,
    *,
    masks: Path | None = None,
    quiet: bool,
) -> bool:
    """Fit the generator to the dataset's people (on the first device) and copy it to the generator and its EMA.

    The fit's states are in ``RUN/warm_start``; an interrupted fit resumes.

    Args:
        networks: networks of the run; their generators are replaced in value, in place.
        config: configuration of the run, with a warm start.
        data, run: folders of the dataset and of the run.
        masks: folder or zip of the masks, if they are not beside the images.
        ranks: this process among those of the run.
        quiet: print no progress.

    Returns:
        False, on all devices, when the fit was asked to stop before its end; its state is saved.

    Raises:
        PanoHeadError: when the dataset does not say which person each photo shows.
    """
    generator: Generator | None = None
    if ranks.is_first:
        with showing("reading people", enabled=not quiet) as on_progress:
            people = load_multiview(data, config.resolution, masks=masks, on_progress=on_progress)
        generator = fit(config, people, run / FOLDER, quiet=quiet)
        for network in (networks.generator, networks.generator_ema):
            if generator is not None:
                network.load_state_dict(generator.state_dict())
    return average({"fitted": float(generator is not None)}, ranks)["fitted"] > 0


def fit(config: TrainConfig, data: MultiViewData, folder: Path, *, quiet: bool) -> Generator | None:
    """Fit a generator, from the newest state in ``folder`` if there is one; return None when asked to stop."""
    assert config.warm_start is not None
    stage = WarmStart(replace(config.warm_start, generator=config.generator), data.people)
    loaded = load_latest_state(folder)
    if loaded is None:
        stage.start_codes(data)
    else:
        stage.load_state_dict(loaded.state)
    saved = time.monotonic()
    with stop_on_signals() as request, showing("warm start", enabled=not quiet) as on_progress:
        while stage.step_count < stage.config.steps:
            stage.step(data)
            on_progress(stage.step_count, stage.config.steps)
            # Read once: a request that arrives while the state is written is handled after the next step.
            asked, ended = request.asked, stage.step_count == stage.config.steps
            if asked or ended or time.monotonic() - saved > SAVE_EVERY_S:
                save_state(folder, stage.step_count, stage.state_dict())
                saved = time.monotonic()
            if asked and not ended:
                return None
    return stage.finished()
