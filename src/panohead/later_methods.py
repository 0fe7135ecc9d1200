"""Methods of later papers as changes of a preset; each off unless it is asked for, none part of PanoHead's recipe.

Functions take any whole configuration and return the changed one. ``LATER_METHODS`` holds them by name for ``panohead
train --later``. docs/comparisons.md says what each keeps of its paper.
"""

from collections.abc import Callable
from dataclasses import replace

from panohead.training.config import TrainConfig
from panohead.training.mismatched import MismatchConfig
from panohead.training.relativistic import R3ganConfig

BURN_IN_SHARE = 0.4
"""Share of the run over which R3GAN's values change; its paper: 10,000 of 25,000 kimg at 256 pixels, as remembered."""


def two_views(config: TrainConfig) -> TrainConfig:
    """Show the discriminator two views of one head together: photos of one person, and renders of one w.

    The paper's discriminator sees single images and cannot notice that a back does not belong to its front. Needs a
    dataset with ``people.jsonl``. As many photos a step as before, so half as many heads. Ours; not from a paper.
    """
    return replace(config, discriminator=replace(config.discriminator, views=2))


def mismatched_cameras(config: TrainConfig) -> TrainConfig:
    """Show the discriminator photos with other photos' cameras as fakes (SphereHead): panohead.training.mismatched."""
    return replace(config, mismatch=MismatchConfig())


def r3gan(config: TrainConfig) -> TrainConfig:
    """Train with R3GAN's objective and schedules: :mod:`panohead.training.relativistic`.

    The preset's gammas are those at the end of the schedule, its rates those at the start.
    """
    burn_in = BURN_IN_SHARE * (config.total_kimg - config.start_kimg)
    return replace(
        config,
        r3gan=R3ganConfig(burn_in_kimg=burn_in),
        discriminator_adam=replace(config.discriminator_adam, interval=None),
    )


LATER_METHODS: dict[str, Callable[[TrainConfig], TrainConfig]] = {
    change.__name__: change for change in (two_views, mismatched_cameras, r3gan)
}
