"""Start and resumption of training runs: devices, data, networks, warm start, loop."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import replace
from pathlib import Path

from panohead.alignment.comparison.dataset_check import SAMPLE, SampleImage, refuse_wrong_sample
from panohead.data.dataset import open_dataset
from panohead.data.loader import PhotoLoader
from panohead.data.person_views import PersonViews, read_shots
from panohead.errors import PanoHeadError, UsageError
from panohead.files.folder_lock import locked_folder
from panohead.files.inside import refuse_linked_folders
from panohead.training.config import TrainConfig
from panohead.training.distributed.ranks import Ranks, average, join_ranks
from panohead.training.loop import Training
from panohead.training.networks import check_networks, load_initial, make_networks, require_same_networks, set_precision
from panohead.training.run.checkpoint import LoadedState, load_latest_state
from panohead.training.run.folder import RUN_FOLDERS, RunDescription, read_run, start_run, write_run
from panohead.training.run.log import showing
from panohead.training.run.records import check_logs
from panohead.training.warm_start_stage import warm_start


def train(
    config: TrainConfig,
    data: Path,
    run: Path,
    *,
    masks: Path | None = None,
    initial: Path | None = None,
    device: str | None = None,
    quiet: bool,
    overwrite: bool = False,
    command: str | None = None,
) -> bool:
    """Start a new run and train it to its end; also one process of several under ``torchrun``.

    Args:
        config: the configuration; see :mod:`panohead.presets`.
        data: folder of the dataset.
        run: folder of the new run.
        masks: folder or zip of the masks, if they are not beside the images; ``data`` is then the images themselves.
        initial: checkpoint to start from, instead of a warm start.
        device: "cpu", "cuda", "cuda:1" or "mps"; None for a GPU where there is one.
        quiet: print no progress.
        overwrite: remove an earlier run in the folder, once the dataset is known to be usable.
        command: command line that this run is the work of, for its checkpoints; None for none.

    Returns:
        False when the run was asked to stop before its end; its state is saved then.

    Raises:
        PanoHeadError: when an argument cannot be used, or a sample of the dataset shows wrong labels, masks or crops
            (:mod:`panohead.alignment.comparison.dataset_check`); nothing is written then.
    """
    if initial is not None and not initial.is_file():
        bundled = "bundled models hold no discriminator; " if initial.suffix == "" else ""
        raise PanoHeadError(
            f"there is no checkpoint {initial}; {bundled}give --init a .safetensors file, such as one of RUN/snapshots"
        )
    if initial is None and config.start_kimg > 0:
        raise UsageError(
            f"this run starts counting at {config.start_kimg:g} kimg; give the checkpoint that it continues with --init"
        )
    with ExitStack() as stack, join_ranks(device) as ranks:
        config.micro_batches(ranks.world_size)
        check_networks(config)
        loader = open_loader(config, data, ranks, masks=masks, quiet=quiet)
        stack.enter_context(_owning(run, ranks))
        if ranks.is_first:
            sample = (SampleImage(*one) for one in loader.dataset.sampled(SAMPLE))
            refuse_wrong_sample(sample, str(data))
            described = RunDescription(config, data, initial, loader.dataset.labels_sha256(), masks, command)
            start_run(run, described, overwrite=overwrite)
        return _train(config, loader, data, run, ranks, masks=masks, initial=initial, quiet=quiet)


def resume(
    run: Path,
    *,
    data: Path | None = None,
    masks: Path | None = None,
    total_kimg: float | None = None,
    total_cpu_s: float | None = None,
    device: str | None = None,
    quiet: bool,
) -> bool:
    """Resume a run exactly from its newest complete state and train it to its end.

    Args:
        run: folder of the run.
        data: new folder of the dataset, if it has moved; stored in the run.
        masks: new folder or zip of the masks, if they are not beside the images; stored in the run.
        total_kimg, total_cpu_s: new length of the run, thousands of photos and processor seconds; stored in the run.
        device: "cpu", "cuda", "cuda:1" or "mps"; None for a GPU where there is one.
        quiet: print no progress.

    Returns:
        False when the run was asked to stop before its end; its state is saved then.

    Raises:
        PanoHeadError: when the run cannot be resumed so; it is not changed then.
    """
    known = read_run(run)
    config, data, masks = known.config, data or known.data, masks or known.masks
    if total_kimg is not None:
        config = replace(config, total_kimg=total_kimg).checked()
    if total_cpu_s is not None:
        config = replace(config, total_cpu_s=total_cpu_s).checked()
    with join_ranks(device) as ranks, _owning(run, ranks):
        config.micro_batches(ranks.world_size)
        loaded = load_latest_state(run, map_location=ranks.device)
        start = loaded.nimg if loaded is not None else config.start_nimg
        _require_same_state(start, ranks)
        if total_kimg is not None and total_kimg * 1000 <= start - config.batch:
            raise PanoHeadError(f"{run} is at {start / 1000:g} kimg already; give a larger --kimg")
        loader = open_loader(config, data, ranks, masks=masks, nimg=start, quiet=quiet)
        if known.labels_sha256 not in (None, loader.dataset.labels_sha256()):
            raise PanoHeadError(
                f"{data} is not the dataset of {run}: its photos have other labels; give the one it was started with, "
                "or start a new run from its weights with --init"
            )
        if ranks.is_first and (config, data, masks) != (known.config, known.data, known.masks):
            write_run(run, replace(known, config=config, data=data, masks=masks))
        notes = [] if loaded is not None else [f"{run} holds no state yet; the run starts from its beginning"]
        return _train(
            config,
            loader,
            data,
            run,
            ranks,
            masks=masks,
            initial=known.initial,
            loaded=loaded,
            notes=notes,
            quiet=quiet,
        )


def _owning(run: Path, ranks: Ranks) -> AbstractContextManager[None]:
    """Hold the run's folder; only the first rank writes into it."""
    if not ranks.is_first:
        return nullcontext()
    refuse_linked_folders(run, RUN_FOLDERS)
    check_logs(run)
    return locked_folder(run, "trains")


def open_loader(
    config: TrainConfig,
    data: Path,
    ranks: Ranks,
    *,
    masks: Path | None = None,
    nimg: int | None = None,
    quiet: bool,
) -> PhotoLoader:
    """Open this device's share of the photos, in the order of the run.

    Args:
        masks: folder or zip of the masks, if they are not beside the images.
        nimg: images shown before, ``config.start_nimg`` included; None for the start of the run.

    Raises:
        PanoHeadError: when the dataset cannot be used.
    """
    settings = config.data
    dataset = open_dataset(
        data,
        settings.selection,
        masks=masks,
        background=settings.background,
        resolution=config.resolution,
        camera_jitter=settings.camera_jitter,
        broken_limit=settings.broken_limit,
    )
    views = config.discriminator.views
    people = PersonViews(dataset, read_shots(data, masks=masks), views) if views > 1 else None
    say = not quiet and ranks.is_first
    with showing("reading photos", enabled=say) as on_progress:
        return PhotoLoader(
            dataset,
            batch=config.batch // ranks.world_size,
            rank=ranks.rank,
            num_replicas=ranks.world_size,
            seed=config.seed,
            people=people,
            start_nimg=(nimg if nimg is not None else config.start_nimg) - config.start_nimg,
            workers=settings.workers,
            device=ranks.device,
            cache=settings.cache,
            on_progress=on_progress,
        )


def _require_same_state(nimg: int, ranks: Ranks) -> None:
    """Raise PanoHeadError unless all processes found the same state: machines must share the run's folder."""
    if average({"nimg": float(nimg)}, ranks)["nimg"] != nimg:
        raise PanoHeadError(
            "the processes find different states of the run; put its folder where all machines can read it"
        )


def _train(
    config: TrainConfig,
    loader: PhotoLoader,
    data: Path,
    run: Path,
    ranks: Ranks,
    *,
    masks: Path | None = None,
    initial: Path | None = None,
    loaded: LoadedState | None = None,
    notes: Sequence[str] = (),
    quiet: bool,
) -> bool:
    set_precision(config.numerics)
    if loaded is not None:
        require_same_networks(config, loaded.state, loaded.file)
    networks = make_networks(config, ranks.device)
    if loaded is None and initial is not None:
        load_initial(networks, initial)
    elif loaded is None and config.warm_start is not None:
        fitted = warm_start(networks, config, data, run, ranks, masks=masks, quiet=quiet)
        if not fitted:
            return False
    for network in (networks.generator, networks.generator_ema):
        if network.dataset_label_std is not None:
            network.dataset_label_std.copy_(loader.dataset.label_std())
    training = Training(config, loader, run, ranks, networks, loaded=loaded, quiet=quiet)
    training.warnings += notes
    return training.run()
