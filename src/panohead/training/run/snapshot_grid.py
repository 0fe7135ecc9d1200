"""Grid of a snapshot: the same heads from eight sides every time, as image, depth and mask."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor, nn

from panohead.geometry import Camera
from panohead.geometry.camera import RADIUS
from panohead.media import contact_sheet, depth_preview, mask_to_pil, save_image, to_pil
from panohead.models.generator import Generator, Rendering
from panohead.randomness import RenderRandomness

YAWS_DEG = tuple(range(0, 360, 45))
_MAX_CELL = 256
_PADDING = 4
# WebP images have at most 16383 pixels per side; the rest is for labels.
_MAX_SHEET = 16000


@torch.no_grad()
def snapshot_grid(
    generator: Generator,
    *,
    z: Float[Tensor, "head z_dim"],
    file: Path,
    truncation_psi: float = 1.0,
    yaws_deg: Sequence[float] = YAWS_DEG,
    pitch_deg: float = 0.0,
    batch: int = 4,
    conditioning_label: Float[Tensor, "1 label_dim"] | None = None,
    neural_rendering_resolution: int | None = None,
    title: str = "",
) -> Path:
    """Write an image with three rows per head (image, depth, mask) and a column per yaw, marked as synthetic.

    Equal arguments give equal pixels: the layers' noise is constant, rays are sampled evenly (as in
    :class:`panohead.head.Head`), and no global random number is drawn. The generator's mode, module by module, and
    its gradients do not change. All views of a head have one w and no camera offset.

    Args:
        z: latent codes, on any device.
        file: image file to write, .png, .webp or .jpg.
        truncation_psi: truncation of w; 1 for none.
        yaws_deg, pitch_deg: angles of the cameras, which are on the official orbit.
        batch: number of views rendered at once.
        conditioning_label: label that mapping is conditioned on; None for the camera at the front. Give zeros for a
            generator trained without a conditioning camera.
        neural_rendering_resolution: rays per side; None for the generator's.
        title: text above the grid.

    Returns:
        The written file.

    Raises:
        PanoHeadError: when the file cannot be written.
    """
    device = next(generator.parameters()).device
    resolution = neural_rendering_resolution or generator.config.neural_rendering_resolution
    label = Camera.orbit().expand(1).to_label() if conditioning_label is None else conditioning_label
    labels = torch.stack([Camera.orbit(yaw, pitch_deg).to_label() for yaw in yaws_deg]).to(device)
    room = _MAX_SHEET // max(3 * len(z), len(labels)) - 2 * _PADDING
    cell = max(1, min(_MAX_CELL, generator.config.superresolution.output_resolution, room))
    rows: list[list[Image.Image]] = []
    with _evaluating(generator):
        for latent in z.to(device).split(1):
            ws = generator.mapping(latent, label.to(device), truncation_psi=truncation_psi)
            views = [_cells(r, generator, cell) for r in _renderings(generator, ws, labels, resolution, batch)]
            rows.extend([image for view in views for image in view[line]] for line in range(3))
    names = [name for i in range(len(z)) for name in (f"head {i}", "depth", "mask")]
    columns = [f"{yaw:g}\N{DEGREE SIGN}" for yaw in yaws_deg]
    sheet = contact_sheet(rows, row_labels=names, column_labels=columns, title=title, cell_size=cell, padding=_PADDING)
    return save_image(sheet, file, quality=90)


def _renderings(
    generator: Generator,
    ws: Float[Tensor, "1 num_ws w_dim"],
    labels: Float[Tensor, "view 25"],
    resolution: int,
    batch: int,
) -> Iterator[Rendering]:
    """Render views of one head, ``batch`` at a time; its tri-grid and background are computed once."""
    field, background = generator.prepared_field(ws), generator.background_features(ws)
    for part in labels.split(batch):
        randomness = RenderRandomness.even(generator=torch.Generator(ws.device).manual_seed(0))
        camera = Camera.from_label(part)
        yield generator.render_view(
            field, ws, camera, resolution=resolution, randomness=randomness, background=background
        )


def _cells(
    rendering: Rendering, generator: Generator, cell: int
) -> tuple[list[Image.Image], list[Image.Image], list[Image.Image]]:
    """Return image, depth and mask of every view. Depth has the same colors in every snapshot of a run."""
    box = generator.config.rendering.box_warp
    images, depths, masks = [], [], []
    for image, depth, weights in zip(rendering.image, rendering.depth, rendering.weights, strict=True):
        mask = mask_to_pil(weights.nan_to_num(0))
        # Visible surfaces lie between the near side of the box and a little beyond its middle.
        colors = depth_preview(depth, near=RADIUS - 0.4 * box, far=RADIUS + 0.1 * box)
        faded = Image.composite(colors, Image.new("RGB", colors.size, "white"), mask)
        images.append(to_pil(image.nan_to_num(-1)))
        depths.append(faded.resize((cell, cell), Image.Resampling.NEAREST))
        masks.append(mask.resize((cell, cell), Image.Resampling.NEAREST))
    return images, depths, masks


@contextmanager
def _evaluating(network: nn.Module) -> Iterator[None]:
    """Set eval mode inside; afterwards every module is in its own mode of before again."""
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training
