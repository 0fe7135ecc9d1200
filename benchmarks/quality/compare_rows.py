"""Rows of the comparison: what is trained, as options of ``panohead train``, and schedules stretched over a budget."""

import math
import time
from dataclasses import dataclass, replace
from typing import Any, get_args

from panohead.cli.train import AblationName, BackboneName, LaterName, PresetName, Train
from panohead.training.config import TrainConfig
from panohead.training.estimate import estimate

CHECK_S = 60.0
"""Processor seconds between two resumable states, about (a tenth of a shorter budget); what a kill can cost."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One generator of the table.

    Attributes:
        what: its description.
        preset, ablations, later, backbone: options of ``panohead train``; random weights for all.
        people: needs a dataset with ``people.jsonl``.
    """

    what: str
    preset: PresetName = "demo_64"
    ablations: tuple[AblationName, ...] = ("no_warm_start",)
    later: tuple[LaterName, ...] = ()
    backbone: BackboneName | None = None
    people: bool = False

    def command(self, settings: tuple[str, ...] = ()) -> Train:
        """Return the options of its run, without dataset and folder."""
        return Train(
            preset=self.preset, ablation=self.ablations, later=self.later, backbone=self.backbone, set=settings
        )

    def words(self) -> list[str]:
        """Return the same as words of a command line."""
        words = ["--preset", self.preset]
        for option, names in (("--ablation", self.ablations), ("--later", self.later)):
            words += [option, *names] if names else []
        return words + (["--backbone", self.backbone] if self.backbone is not None else [])


def _ablation(what: str, *names: AblationName) -> Row:
    return Row(what=what, ablations=(*names, "no_warm_start"))


ROWS: dict[str, Row] = {
    "panohead": Row(what="PanoHead: tri-grid of 3 slices, tri-discriminator"),
    "eg3d": Row(what="EG3D: tri-plane, no mask", preset="eg3d_64", ablations=()),
    "graf": Row(what="GRAF: radiance field, patches", preset="graf_64", ablations=()),
    "pi_gan": Row(what="pi-GAN: sine layers, growing", preset="pi_gan_64", ablations=()),
    "style_sdf": Row(what="StyleSDF: signed distance", preset="style_sdf_64", ablations=()),
    "no_mask": _ablation("PanoHead without mask", "no_mask"),
    "tri_plane": _ablation("PanoHead on EG3D's tri-plane", "tri_plane"),
    "depth_1": _ablation("tri-grid of 1 slice", "depth_1"),
    "depth_2": _ablation("tri-grid of 2 slices", "depth_2"),
    "depth_5": _ablation("tri-grid of 5 slices", "depth_5"),
    "camera_jitter": _ablation("cameras moved by 0.05", "camera_jitter"),
    "jitter_adapted": _ablation("the same, self-adaptation", "camera_jitter", "camera_adaptation"),
    "two_views": Row(what="two views of one person together", later=("two_views",), people=True),
    "mismatched": Row(what="mismatched cameras as fakes", later=("mismatched_cameras",)),
    "r3gan": Row(what="R3GAN's objective", later=("r3gan",)),
    "stylegan3": Row(what="StyleGAN3 backbone, config T", backbone="stylegan3"),
    "stylegan3_r": Row(what="StyleGAN3 backbone, config R", backbone="stylegan3_r"),
}
"""Rows by name, in the order in which they are trained and shown. Depth 3 is ``panohead``."""
# Options that a row names must exist; a misspelling would otherwise show after hours.
assert {name for row in ROWS.values() for name in row.later} <= set(get_args(LaterName))


@dataclass(frozen=True)
class Plan:
    """What is known of a row before it is trained.

    Attributes:
        cpu_s_per_image: processor seconds of training a photo, mean of the run's first and last steps.
        kimg: thousands of photos that the planned budget is expected to allow.
        settings: words for ``--set``.
    """

    cpu_s_per_image: float
    kimg: float
    settings: tuple[str, ...]


def make_plan(row: Row, planned_s: float, settings: tuple[str, ...]) -> Plan:
    """Measure a row's cost, and stretch its schedules over the photos that the planned budget allows.

    Args:
        planned_s: processor seconds over which schedules that depend on a run's length are stretched.
        settings: words for ``--set`` that all rows share.
    """
    config = row.command(settings).config()
    whole = config.total_kimg * 1000
    costs = [
        estimate(config, device="cpu", clock=time.process_time, nimg=nimg).seconds_per_image for nimg in (0.0, whole)
    ]
    cost = sum(costs) / len(costs)
    kimg = max(planned_s / cost, config.batch) / 1000
    check = min(CHECK_S, planned_s / 10)
    own = {
        **stretched(config, kimg / config.total_kimg),
        # The processor time ends the run. Photos are only a guard against an endless one.
        "total_kimg": max(100 * kimg, 1.0),
        "tick_kimg": max(1, round(check / cost / config.batch)) * config.batch / 1000,
        "state_ticks": 1,
        "snapshot_ticks": 0,
        "metric_ticks": 0,
        "metric_images": 32,
        "data.cache": '"memory"',
    }
    return Plan(cost, kimg, (*(f"{name}={value}" for name, value in own.items()), *settings))


def stretched(config: TrainConfig, factor: float) -> dict[str, Any]:
    """Return the durations that a preset states as a share of its length, times a factor, by dotted names."""
    schedules = config.schedules
    found = {}
    if schedules.neural_resolution_final is not None:
        found["schedules.neural_resolution_fade_kimg"] = schedules.neural_resolution_fade_kimg * factor
    if schedules.pose_swap_probability is not None:
        found["schedules.pose_swap_fade_kimg"] = schedules.pose_swap_fade_kimg * factor
    if config.patches is not None:
        found["patches.fade_kimg"] = config.patches.fade_kimg * factor
    if config.r3gan is not None:
        found["r3gan.burn_in_kimg"] = config.r3gan.burn_in_kimg * factor
    assert all(math.isfinite(value) for value in found.values())
    return found


def tiny_rows(rows: dict[str, Row]) -> dict[str, Row]:
    """Return rows of the preset ``tiny``, which train in seconds, to see that the comparison runs."""
    return {name: replace(row, preset="tiny", backbone=None) for name, row in rows.items() if row.preset == "demo_64"}
