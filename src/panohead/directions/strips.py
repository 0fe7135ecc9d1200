"""Sheet of a head that moves along each direction."""

from pathlib import Path

from PIL import Image

from panohead.directions.direction_file import Directions
from panohead.geometry import Camera
from panohead.media import contact_sheet, save_image
from panohead.predictor import Predictor

_AMOUNTS = (-3, -2, -1, 0, 1, 2, 3)
_CELL_PX = 96


def write_direction_strips(predictor: Predictor, directions: Directions, path: Path, *, seed: int = 0) -> None:
    """Write one row per direction: the head of a seed, moved by -3 to 3 standard deviations.

    Raises:
        PanoHeadError: when the file cannot be written.
    """
    head, camera = predictor.sample(seed), Camera.orbit(20)
    rows: list[list[Image.Image]] = []
    for name in directions.names:
        rows.append([directions.moved(head, {name: amount}).render(camera).to_pil() for amount in _AMOUNTS])
    labels = [name.replace("_", " ") for name in directions.names]
    columns = [f"{amount:+d}" if amount else "0" for amount in _AMOUNTS]
    save_image(contact_sheet(rows, row_labels=labels, column_labels=columns, cell_size=_CELL_PX), path)
