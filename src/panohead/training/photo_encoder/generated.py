"""Samples from the generator itself: heads of random z, and of random attributes where the checkpoint knows them."""

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor

from panohead.attributes import AttributeEncoder, Vocabulary
from panohead.attributes.vocabulary import light_numbers, shape_coordinates
from panohead.geometry import Camera
from panohead.inversion.objective import compositing_color
from panohead.models.generator import Generator, Rendering
from panohead.training.photo_encoder.config import EncoderTrainConfig
from panohead.training.photo_encoder.samples import EncoderSample

_TRAINED_SEED = 1 << 20
"""Offset of the seeds of drawn people, so that no training set of ``panohead synthesize`` has the same ones."""
_MIN_TURN_DEG = 30.0  # between the two views
_THIN = 0.02  # coverage under which a color cannot be told


class GeneratedSamples:
    """Numbered heads of a generator.

    Args:
        generator: in eval mode, without gradients, on the CPU or another device.
        attributes: attribute encoder of its checkpoint; None without one.
        config: sizes, shares and seed.
    """

    name = "generated"

    def __init__(self, generator: Generator, attributes: AttributeEncoder | None, config: EncoderTrainConfig) -> None:
        self.count = config.samples
        self._generator, self._attributes, self._config = generator, attributes, config
        self._vocabulary = None if attributes is None else attributes.vocabulary
        self._empty = compositing_color(generator)

    @torch.no_grad()
    def sample(self, number: int) -> EncoderSample:
        """Return the head of a number, rendered from two cameras."""
        generator, config = self._generator, self._config
        device = generator.mapping_network.w_avg.device
        rng = np.random.default_rng([config.seed, number])
        camera, second = random_cameras(rng)
        label = camera.to_label()[None]
        attributes, offset = np.full(attribute_count(self._attributes), np.nan, np.float32), torch.zeros(1, 3)
        if self._vocabulary is not None and rng.random() < config.attribute_share:
            assert self._attributes is not None
            attributes = random_attributes(self._vocabulary, config.seed, number)
            w = self._attributes(torch.from_numpy(attributes)[None].to(device))
        else:
            z = torch.from_numpy(rng.standard_normal((1, generator.config.z_dim), np.float32)).to(device)
            psi = float(rng.uniform(config.psi[0], config.psi[1]))
            w = generator.mapping(z, label.to(device), truncation_psi=psi)[:, 0]
            offset = generator.align_camera(z, label.to(device), truncation_psi=psi).cpu()
        ws = w[:, None].expand(-1, generator.num_ws, -1)  # 1 num_ws w_dim
        field = generator.prepared_field(ws)
        views = []
        for view, whole in ((camera.translated(offset[0]), True), (second.translated(offset[0]), False)):
            rendering = generator.render_view(field, ws, view.to(device), superresolve=whole)
            side = config.resolution if whole else config.side
            views.append(pixels_of(rendering, side, self._empty))
        return EncoderSample(
            photo=views[0],
            second=views[1],
            label=label[0].numpy(),
            # World axes to the camera's own: R^T t.
            offset=(offset[0] @ camera.cam2world[:3, :3]).numpy(),
            second_label=second.translated(offset[0]).to_label().numpy(),
            w=w[0].cpu().numpy(),
            attributes=attributes,
            person=number,
        )


def attribute_count(encoder: AttributeEncoder | None) -> int:
    """Return the length of attribute vectors; 0 without an encoder."""
    return 0 if encoder is None else encoder.vocabulary.size


def random_cameras(rng: np.random.Generator) -> tuple[Camera, Camera]:
    """Return the camera of a photo, mostly near the front, and another one from any side, at least 30 degrees away."""
    yaw = rng.normal() * 25 if rng.random() < 0.7 else rng.uniform(-100, 100)
    pitches = (rng.normal(size=2) * np.array([10, 8])).clip(-30, 30)
    turn = rng.uniform(_MIN_TURN_DEG, 360 - _MIN_TURN_DEG)
    return Camera.orbit(float(yaw), float(pitches[0])), Camera.orbit(float(yaw + turn), float(pitches[1]))


def random_attributes(vocabulary: Vocabulary, seed: int, number: int) -> Float[np.ndarray, " attribute"]:
    """Return the attribute vector of a randomly drawn person in a randomly drawn light."""
    from panohead.synthetic.expressions import sample_shots
    from panohead.synthetic.people import sample_person
    from panohead.synthetic.renderer.lighting import sample_lighting

    person = sample_person(_TRAINED_SEED + seed, number)
    rng = person.stream("encoder")
    # Linear RGB; what is worn decides it in renders, which would take a second each.
    worn = {f"{name}_color": (rng.uniform(0, 1, 3) ** 2.2).tolist() for name in ("clothes", "headwear")}
    worn = {name: None if getattr(person, name[:-6]) == "none" else value for name, value in worn.items()}
    record = {**person.to_json(), **worn}
    shot = sample_shots(person, 1)[0]
    light = light_numbers(sample_lighting(person.stream("light")).to_json())
    return vocabulary.vector(record, shape_coordinates(record), light, expression=shot.expression, gaze=shot.gaze)


def pixels_of(
    rendering: Rendering, side: int, empty: Float[Tensor, "3 1 1"] | None
) -> UInt8[np.ndarray, "side side 4"]:
    """Return colors and mask of one rendering at a size.

    Args:
        empty: color of empty rays, which is taken out of pixels that the head covers in part; None for generators with
            a background, which is left in.
    """
    image = resized(rendering.image, side)
    mask = resized(rendering.mask, side).clamp(0, 1)
    if empty is not None:
        own = (image - (1 - mask) * empty) / mask.clamp_min(0.05)
        image = torch.where(mask > _THIN, own, image)
    layers = torch.cat([(image.clamp(-1, 1) + 1) / 2, mask], dim=1)[0]  # 4 side side
    return (layers * 255).round().to(torch.uint8).permute(1, 2, 0).cpu().numpy()


def resized(
    image: Float[Tensor, "*batch channel height width"], side: int
) -> Float[Tensor, "*batch channel side side"]:
    """Return square images at a size: by area where it is smaller, bilinear where it is larger."""
    if image.shape[-1] == side:
        return image
    return F.interpolate(image, (side, side), mode="area" if side < image.shape[-1] else "bilinear")
