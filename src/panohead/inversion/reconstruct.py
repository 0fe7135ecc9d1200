"""From photos of one person to a head."""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict
from typing import Literal

from panohead.alignment.detectors import Detectors
from panohead.alignment.pose_file import GivenPose
from panohead.checkpoint import weights_sha256
from panohead.errors import PanoHeadError
from panohead.geometry import Camera
from panohead.inversion import official_preset as official
from panohead.inversion.fast_preset import FastConfig, reconstruct_fast
from panohead.inversion.load_photos import ImageInput, MaskInput, read_images
from panohead.inversion.losses import ImageLoss, PyramidLoss
from panohead.inversion.objective import PhotoObjective, compositing_color
from panohead.inversion.official_preset import OfficialConfig
from panohead.inversion.optimization_log import OptimizationLog
from panohead.inversion.photo import AlignedPhoto
from panohead.inversion.randomness import RandomStreams
from panohead.inversion.reconstructed_head import InversionResult, ReconstructedHead
from panohead.inversion.w_space import w_space
from panohead.models.generator import Generator

Preset = Literal["fast", "official"]
OFFICIAL_SEED = 666


def reconstruct(
    generator: Generator,
    images: Sequence[ImageInput],
    cameras: Sequence[Camera] | None = None,
    *,
    masks: Sequence[MaskInput | None] | None = None,
    poses: Sequence[GivenPose | None] | None = None,
    preset: Preset = "fast",
    config: FastConfig | OfficialConfig | None = None,
    loss: ImageLoss | None = None,
    seed: int | None = None,
    log: OptimizationLog | None = None,
    tools: Detectors | None = None,
) -> ReconstructedHead:
    """Find the w of one person in 1 to 8 photos and tune a copy of the generator to them (paper section 4.4).

    Args:
        generator: in eval mode, without gradients; it is only read.
        images: paths, pictures or RGB arrays. With ``cameras`` crops in the official frame, otherwise ordinary photos.
        masks: the head in each crop (None: no mask), or the person in each ordinary photo (None: found by ``tools``).
            The preset official looks at whole pictures, as the original does.
        poses: the user's angles of ordinary photos that show no face; None where they are to be estimated.
        preset: "official" for the original's protocol (one photo).
        config: numbers of the preset; None for its defaults.
        loss: perceptual loss; None for the weight-free :class:`PyramidLoss`.
        seed: of all random numbers.
        journal: for progress, stopping and continuing.
        tools: that find heads in ordinary photos; with ``cameras`` they compare faces with labels, None does not.

    Raises:
        PanoHeadError: for pictures that cannot be used, or a preset that does not fit.
    """
    if preset == "official" and len(images) > 1:
        raise PanoHeadError(f"the preset official takes one photo, not {len(images)}; use the preset fast for several")
    if seed is not None and seed < 0:
        raise PanoHeadError(f"the seed {seed} is negative; give 0 or more")
    photos = read_images(images, cameras, output_side(generator), masks=masks, poses=poses, tools=tools)
    config = config if config is not None else FastConfig() if preset == "fast" else OfficialConfig()
    if isinstance(config, OfficialConfig) != (preset == "official"):
        raise PanoHeadError(f"the preset {preset} does not go with a {type(config).__name__}; give one that does")
    loss = PyramidLoss() if loss is None else loss
    log = OptimizationLog() if log is None else log
    if log.on_note is not None:
        for photo in photos:
            for note in photo.notes:
                log.on_note(f"{photo.name}: {note}")
    seed = (OFFICIAL_SEED if preset == "official" else 0) if seed is None else seed
    log.start(_identity(generator, photos, config, loss, seed))
    if isinstance(config, OfficialConfig):
        found = _official(generator, photos, config, loss, seed, log)
    else:
        found = reconstruct_fast(
            generator, _objective(generator, photos, config, loss), config=config, seed=seed, log=log
        )
    log.close()
    return ReconstructedHead(found, untuned=generator, photos=photos, log=log)


def output_side(generator: Generator) -> int:
    """Pixels per side of the generator's pictures."""
    return generator.config.superresolution.output_resolution


def _objective(
    generator: Generator, photos: Sequence[AlignedPhoto], config: FastConfig, loss: ImageLoss
) -> PhotoObjective:
    return PhotoObjective(
        photos,
        loss,
        empty=compositing_color(generator),
        background_weight=config.background_weight,
        mask_weight=config.mask_weight,
        device=generator.mapping_network.w_avg.device,
    )


def _official(
    generator: Generator,
    photos: Sequence[AlignedPhoto],
    config: OfficialConfig,
    loss: ImageLoss,
    seed: int,
    log: OptimizationLog,
) -> InversionResult:
    device = next(generator.parameters()).device
    copy = official.prepared(generator, config)
    target = photos[0].image[None].to(device)
    label = photos[0].camera.expand(1).to(device).to_label()
    space = w_space(copy, samples=config.w_samples, seed=config.w_seed)
    if config.camera_offset:
        label = official.offset_label(copy, space, label)
    streams = RandomStreams(seed, 1, device)
    ws = official.search(copy, target, label, space, loss, config=config, streams=streams, log=log)
    if not log.stop_requested():
        official.tune(copy, ws, target, label, loss, config=config, streams=RandomStreams(seed, 2, device), log=log)
    return InversionResult(copy, ws, [Camera.from_label(label[0])], None)


def _identity(
    generator: Generator,
    photos: Sequence[AlignedPhoto],
    config: FastConfig | OfficialConfig,
    loss: ImageLoss,
    seed: int,
) -> str:
    """What a stored state must agree in to be continued."""
    digest = hashlib.sha256(repr((type(config).__name__, asdict(config), loss.identity, seed)).encode())
    digest.update(weights_sha256(generator).encode())
    for photo in photos:
        parts = [photo.image, photo.camera.to_label(), *([] if photo.mask is None else [photo.mask])]
        for part in parts:
            digest.update(part.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
