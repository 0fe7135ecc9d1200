"""``panohead train``: train a generator, resume a run, or estimate one. Also under ``torchrun``."""

import json
import os
import re
import shlex
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from panohead.cli.ranges import KIMG
from panohead.cli.results_folder import open_results, write_settings
from panohead.cli.running.common_options import Common, CommonOptions
from panohead.cli.running.messages import answer
from panohead.errors import PanoHeadError, UsageError
from panohead.files.read_json import parse_json
from panohead.limits import BATCH, SEED

if TYPE_CHECKING:
    from panohead.training.config import TrainConfig

PresetName = Literal[
    "panohead_512", "panohead_512_stage2", "eg3d", "demo_128", "demo_64", "eg3d_64", "pi_gan_64", "graf_64",
    "style_sdf_64", "tiny",
]  # fmt: skip
BackboneName = Literal["stylegan2", "stylegan3", "stylegan3_r"]
AblationName = Literal[
    "no_mask", "tri_plane", "depth_1", "depth_2", "depth_3", "depth_5", "camera_jitter", "no_camera_adaptation",
    "camera_adaptation", "no_warm_start",
]  # fmt: skip
LaterName = Literal["two_views", "mismatched_cameras", "r3gan"]


@dataclass(kw_only=True)
class Train:
    """Train on a dataset of photos with masks and cameras. Interrupted runs resume exactly where they were saved."""

    preset: PresetName | None = None
    """Configuration to start from (demo_64 if not given); --dry-run prints all of its numbers."""
    data: Path | None = None
    """The dataset: a folder with images/ and masks/ (or zips of them, or .tar shards)."""
    masks: Path | None = None
    """Folder or zip of the masks, if not beside the images; then --data is the images themselves."""
    out: Path | None = None
    """Folder of the new run."""
    overwrite: bool = False
    """Remove the run that OUT holds and start again; or write beside the results of another command."""
    resume: Path | None = None
    """Folder of a run to resume, exactly; give --data as well if the dataset has moved."""
    init: Path | None = None
    """A .safetensors checkpoint to start from (second stages, fine-tuning)."""
    ablation: tuple[AblationName, ...] = ()
    """Changes of the preset, as in the paper's ablations."""
    later: tuple[LaterName, ...] = ()
    """Methods of later papers, all off by default: two_views (a discriminator of two views of one person),
    mismatched_cameras (photos with other photos' cameras as fakes, SphereHead), r3gan (R3GAN's objective)."""
    backbone: BackboneName | None = None
    """Network that makes the tri-grid: StyleGAN2's (the presets'), or StyleGAN3's alias-free ones, stylegan3 (config T,
    for translations) or stylegan3_r (config R, for rotations too)."""
    kimg: Annotated[float | None, KIMG] = None
    """Thousands of photos to show in all."""
    cpu_time: str | None = None
    """Processor time of training (90s, 30m, 2h) after which the run ends even if photos are left: equal budgets for
    methods of unequal cost. Reading photos, statistics and snapshots do not count."""
    batch: Annotated[int | None, BATCH] = None
    """Photos per step, over all devices; the durations of blur and moving average scale in proportion."""
    micro_batch: Annotated[int | None, BATCH] = None
    """Photos computed at once on one device."""
    seed: Annotated[int | None, SEED] = None
    """Seed of weights, order of photos and all random numbers."""
    set: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME=VALUE")] = ()
    """Other settings by their dotted names, values as JSON: loss.r1_gamma=0.5 data.camera_jitter=0.05."""
    device: str | None = None
    """cpu, cuda, cuda:1; the default is a GPU where there is one. Under torchrun each process takes its own."""
    dry_run: bool = False
    """Print the resolved configuration as JSON and stop."""
    estimate: bool = False
    """Time two steps on random images, print memory and duration of the whole run, and stop."""
    common: Common = field(default_factory=CommonOptions)

    def run(self) -> None:
        """Train, then print where the results are."""
        if self.dry_run and self.estimate:
            raise UsageError("--dry-run prints the configuration, --estimate what it costs; choose one")
        if self.dry_run or self.estimate:
            self._describe(self._checked(self.config() if self.resume is None else self._config_of(self.resume)))
            return
        if self.resume is not None:
            self._continue(self.resume)
            return
        config = self.config()
        if self.data is None or self.out is None:
            raise UsageError("a new run needs --data DATASET and --out RUN; a run is resumed with --resume RUN")
        from panohead.training.launch import train

        finished = train(
            config,
            self.data,
            open_results(self.out, "train", overwrite=self.overwrite),
            masks=self.masks,
            initial=self.init,
            device=self.device,
            quiet=self.common.quiet,
            overwrite=self.overwrite,
            command=self.command_line(),
        )
        if os.environ.get("RANK", "0") == "0":  # torchrun's processes share the folder
            write_settings(self.out, "train", self)
        self._report(self.out, finished)

    def config(self) -> "TrainConfig":
        """Return the preset with all changes that the command line asks for.

        Raises:
            UsageError: for a ``--set`` that is not NAME=VALUE, and for settings that do not exist, take no such value
                or do not fit together.
        """
        from panohead.later_methods import LATER_METHODS
        from panohead.presets import ABLATIONS, PRESETS, with_backbone, with_batch
        from panohead.training.config import with_settings
        from panohead.training.networks import check_networks

        config = PRESETS[self.preset or "demo_64"]()
        for name in self.ablation:
            config = ABLATIONS[name](config)
        if self.kimg is not None:  # R3GAN's schedule depends on it
            config = replace(config, total_kimg=self.kimg)
        for later in self.later:
            config = LATER_METHODS[later](config)
        if self.backbone is not None:
            config = with_backbone(config, self.backbone)
        if self.batch is not None:
            config = with_batch(config, self.batch)
        given = {
            "total_kimg": self.kimg,
            "total_cpu_s": self._cpu_s(),
            "micro_batch": self.micro_batch,
            "seed": self.seed,
        }
        settings: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
        settings |= dict(_setting(text) for text in self.set)
        config = with_settings(config, settings).checked()
        if "WORLD_SIZE" not in os.environ:  # one process; those of torchrun share the batch when they have met
            config.micro_batches(1)
        try:
            check_networks(config)
        except PanoHeadError as error:
            raise UsageError(str(error)) from error
        return config

    def command_line(self) -> str:
        """Return what was asked for, as it is typed; of files their names, as folders are those of this machine."""
        words = ["panohead", "train", "--preset", self.preset or "demo_64"]
        for name in ("data", "masks", "init", "backbone", "kimg", "batch", "micro_batch", "seed"):
            value = getattr(self, name)
            if value is not None:
                words += [f"--{name.replace('_', '-')}", value.name if isinstance(value, Path) else str(value)]
        for name in ("ablation", "set"):
            if values := getattr(self, name):
                words += [f"--{name}", *values]
        return shlex.join(words)

    def _checked(self, config: "TrainConfig") -> "TrainConfig":
        """Refuse what the run would refuse, as far as it is known without reading the dataset."""
        for path, option in ((self.data, "--data"), (self.init, "--init")):
            if path is not None and not path.exists():
                raise PanoHeadError(f"{option} {path} does not exist; give another")
        return config

    def _config_of(self, run: Path) -> "TrainConfig":
        """Return the configuration of a run, with the length that the command line asks for."""
        from panohead.training.run.folder import read_run

        self._refuse_changes()
        config = read_run(run).config
        changes: dict[str, Any] = {"total_kimg": self.kimg, "total_cpu_s": self._cpu_s()}
        return replace(config, **{name: value for name, value in changes.items() if value is not None}).checked()

    def _refuse_changes(self) -> None:
        fixed = (
            "preset",
            "out",
            "init",
            "ablation",
            "later",
            "backbone",
            "batch",
            "micro_batch",
            "seed",
            "set",
            "overwrite",
        )
        given = {name: getattr(self, name) for name in fixed}
        # By identity: a seed of 0 equals False.
        changed = [name for name, value in given.items() if value is not None and value is not False and value != ()]
        if changed:
            raise UsageError(
                f"--{changed[0].replace('_', '-')} cannot be changed by --resume; start a new run with --out"
            )

    def _cpu_s(self) -> float | None:
        from panohead.system.duration import parse_duration

        return None if self.cpu_time is None else parse_duration(self.cpu_time, "--cpu-time")

    def _continue(self, run: Path) -> None:
        self._refuse_changes()
        from panohead.training.launch import resume

        finished = resume(
            run,
            data=self.data,
            masks=self.masks,
            total_kimg=self.kimg,
            total_cpu_s=self._cpu_s(),
            device=self.device,
            quiet=self.common.quiet,
        )
        self._report(run, finished)

    def _describe(self, config: "TrainConfig") -> None:
        if self.dry_run:
            answer(json.dumps(asdict(config), indent=1, allow_nan=False))
            return
        from panohead.training.estimate import estimate

        for line in estimate(config, device=self.device).lines():
            answer(line)

    def _report(self, run: Path, finished: bool) -> None:
        if finished is False:
            answer(f"stopped; resume with: panohead train --resume {run}")
            return
        answer(f"trained; the report is {run / 'report.html'}, weights and images are in {run / 'snapshots'}")


def _setting(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise UsageError(f"--set {text!r} is not NAME=VALUE; for example --set loss.r1_gamma=0.5")
    try:
        return name.strip(), parse_json(value, _ANY, name, remedy="see --dry-run for the values")
    except PanoHeadError as error:
        # A word needs no quotes; whatever begins like a number, a list or an object is one.
        if re.match(r"[\[{\d.+-]|nan|inf", value.strip(), re.IGNORECASE):
            raise UsageError(f"--set {name}={value[:40]} has no value that can be used: {error}") from error
        return name.strip(), value


_ANY: Any = Any
