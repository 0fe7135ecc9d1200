"""Reconstruction of a person's head from photos, by one of the presets."""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any, Literal, get_args

from panohead.alignment.detectors import Detectors
from panohead.alignment.photo_area import PhotoCorners
from panohead.alignment.pose_file import GivenPose
from panohead.attributes import AttributeEncoder
from panohead.checkpoint import weights_sha256
from panohead.errors import UsageError
from panohead.geometry import Camera
from panohead.inversion.encoder_guess import Start, check_encoder, guess_head
from panohead.inversion.fast_config import FastConfig
from panohead.inversion.fast_preset import FAST
from panohead.inversion.head_edit import HeadEdit, check_edit
from panohead.inversion.load_photos import ImageInput, MaskInput, as_images, read_images
from panohead.inversion.losses import ImageLoss, PyramidLoss
from panohead.inversion.official_preset import OFFICIAL, OfficialConfig
from panohead.inversion.optimization.log import OptimizationCallbacks
from panohead.inversion.optimization.resume_file import ResumeFile
from panohead.inversion.optimization.run import OptimizationRun
from panohead.inversion.preset import InversionPreset, InversionTask
from panohead.inversion.quick_preset import QUICK, QuickConfig
from panohead.inversion.reconstructed_head import InversionResult, ReconstructedHead
from panohead.models.generator import Generator
from panohead.models.photo_encoder import PhotoEncoder

Preset = Literal["fast", "official", "quick"]
INVERSION_PRESETS: dict[str, InversionPreset[Any]] = {preset.name: preset for preset in (FAST, OFFICIAL, QUICK)}
"""Presets by their names."""


def reconstruct(
    generator: Generator,
    images: Sequence[ImageInput] | ImageInput,
    cameras: Sequence[Camera] | Camera | None = None,
    *,
    masks: Sequence[MaskInput | None] | None = None,
    poses: Sequence[GivenPose | None] | None = None,
    heads: Sequence[int | None] | None = None,
    corners: Sequence[PhotoCorners | None] | None = None,
    preset: Preset = "fast",
    config: FastConfig | OfficialConfig | QuickConfig | None = None,
    start: Start | None = None,
    encoder: PhotoEncoder | None = None,
    attributes: AttributeEncoder | None = None,
    edit: HeadEdit | None = None,
    loss: ImageLoss | None = None,
    seed: int | None = None,
    callbacks: OptimizationCallbacks | None = None,
    resume_file: ResumeFile | None = None,
    tools: Detectors | None = None,
) -> ReconstructedHead:
    """Find the w of one person in 1 to 8 photos and tune a copy of the generator to them (PanoHead 4).

    Args:
        generator: generator in eval mode, without gradients; it is only read.
        images: one or several paths, images or RGB arrays. With ``cameras`` crops in the official frame, otherwise
            ordinary photos.
        cameras: camera of each crop, without batch dimension; None to find and align the heads in ordinary photos.
        masks: head in each crop (None: no mask), or person in each ordinary photo (None: found by ``tools``). The
            preset official compares whole images, as the original does.
        poses: the user's angles of ordinary photos that show no face, or boxes that say which head is meant; None where
            both are to be estimated.
        heads: number of the head to take of several in each ordinary photo, from 1; None for the most prominent.
        corners: photos' corners in crops that go beyond them, as ``panohead prepare`` writes them; None for others.
        preset: "official" for the original's protocol (one photo), "quick" for the encoder's guess alone.
        config: numbers of the preset; None for its defaults.
        start: start of the search of the preset "fast"; None for the mean head where people's attributes are searched,
            for the encoder's guess where there is an encoder, and otherwise for the best of random candidates.
            "official" starts from the mean w, "quick" is a guess.
        encoder: photo encoder of the generator's checkpoint, in eval mode.
        attributes: attribute encoder of the generator's checkpoint; with it the preset "fast" searches among people.
        edit: changes of the head on request (things left out, no expression, even light); they need ``attributes``.
        loss: perceptual loss; None for the weight-free :class:`PyramidLoss`.
        seed: seed of all random numbers, 0 or more; None for the preset's own.
        callbacks: functions that follow and stop the optimization.
        resume_file: file that keeps its state, to resume from after an interruption; None keeps nothing.
        tools: detectors for ordinary photos; with ``cameras`` they compare faces with labels, None skips that.

    Returns:
        The head; its ``log`` tells what happened. Stopped early, it is the best so far.

    Raises:
        UsageError: for options that the preset does not take.
        PanoHeadError: when there is no encoder where one is asked for.
        PanoHeadError: for photos that cannot be used, or a file that cannot be resumed from.
    """
    generator.require_trigrid("reconstruction")
    images = as_images(images)
    cameras = [cameras] if isinstance(cameras, Camera) else cameras
    chosen = find_preset(preset)
    config = chosen.config_type() if config is None else config
    chosen.check(config, len(images), seed)
    edit = HeadEdit() if edit is None else edit
    check_edit(edit, attributes, preset)
    among_people = attributes is not None and isinstance(config, FastConfig) and config.attribute_search
    start = chosen_start(preset, start, has_encoder=encoder is not None, among_people=among_people)
    if start == "mean" and isinstance(config, FastConfig):
        config = replace(config, starts=0)
    guide = check_encoder(encoder, generator) if start == "encoder" else None
    photos = read_images(
        images, cameras, output_side(generator), masks=masks, poses=poses, heads=heads, corners=corners, tools=tools
    )
    loss = PyramidLoss() if loss is None else loss
    if callbacks is not None and callbacks.on_note is not None:
        for photo in photos:
            for note in photo.notes:
                callbacks.on_note(f"{photo.name}: {note}")
    guess = None if guide is None else guess_head(guide, photos)
    task = InversionTask(
        generator, photos, loss, chosen.default_seed if seed is None else seed, guess, attributes, edit
    )
    stored = None if resume_file is None else resume_file.stored_identity()
    config, identity = _resumed(task, chosen, config, stored)
    run = OptimizationRun(identity, callbacks=callbacks, resume_file=resume_file)
    result = chosen.invert(task, config, run)
    run.close()
    return _finished(task, result, run)


def _finished(task: InversionTask, result: InversionResult, run: OptimizationRun) -> ReconstructedHead:
    """Return the head, with the changes on request that come after the fit, and with notes in its log."""
    if task.edit and task.attributes is not None:
        result = replace(result, ws=task.edit.finished(task.attributes, result.ws))
        run.log.notes.append(task.edit.note())
    if task.guess is not None:
        run.log.notes.append(task.guess.note())
    return ReconstructedHead(result, untuned=task.generator, photos=task.photos, log=run.log)


def find_preset(name: str) -> InversionPreset[Any]:
    """Return the preset of a name.

    Raises:
        UsageError: when there is none.
    """
    if name not in INVERSION_PRESETS:
        raise UsageError(f"there is no preset {name!r}; give one of {', '.join(INVERSION_PRESETS)}")
    return INVERSION_PRESETS[name]


def chosen_start(preset: Preset, start: Start | None, *, has_encoder: bool, among_people: bool = False) -> Start:
    """Return the start of a reconstruction.

    Args:
        preset: name of the preset.
        start: the user's choice; None for the default.
        has_encoder: the checkpoint has a photo encoder.
        among_people: the search is among people's attributes, where no other start gains anything.

    Raises:
        UsageError: for a start that does not exist, or that the preset does not take.
    """
    if start is not None and start not in get_args(Start):
        raise UsageError(f"there is no start {start!r}; give one of {', '.join(get_args(Start))}")
    only: Start | None = {"official": "mean", "quick": "encoder"}.get(preset)  # type: ignore[assignment]
    if only is not None:
        if start not in (None, only):
            raise UsageError(f"the preset {preset} has the start {only}, not {start}; leave the start out")
        return only
    if start is not None:
        return start
    # Among people the search finds from the mean what the bundled model's encoder sees, and a little more: 0.4 dB on
    # three held-out people (docs/encoder.md).
    return "mean" if among_people else "encoder" if has_encoder else "random"


def output_side(generator: Generator) -> int:
    """Return the side of the generator's images in pixels."""
    return generator.config.superresolution.output_resolution


def _resumed(task: InversionTask, preset: InversionPreset[Any], config: Any, stored: str | None) -> tuple[Any, str]:
    """Return configuration and identity of the run: those of an earlier version if the stored run is one of its own."""
    identity = _identity(task, config)
    if stored not in (None, identity):
        for earlier, without in preset.earlier(config):
            found = _identity(task, earlier, without=without)
            if found == stored:
                return earlier, found
    return config, identity


def _identity(
    task: InversionTask,
    config: FastConfig | OfficialConfig | QuickConfig,
    *,
    without: frozenset[str] = frozenset(),
) -> str:
    """Hash of everything that must be equal for a stored state to be resumed from, without some fields."""
    numbers = {name: value for name, value in asdict(config).items() if name not in without}
    digest = hashlib.sha256(repr((type(config).__name__, numbers, task.loss.identity, task.seed)).encode())
    digest.update(weights_sha256(task.generator).encode())
    if task.guess is not None:
        digest.update(task.guess.identity.encode())
    if isinstance(config, FastConfig) and config.attribute_search and task.attributes is not None:
        digest.update(weights_sha256(task.attributes).encode())
    if task.edit:
        digest.update(repr(task.edit).encode())
    for photo in task.photos:
        parts = [photo.image, photo.camera.to_label(), *(x for x in (photo.mask, photo.inside) if x is not None)]
        for part in parts:
            digest.update(part.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
