"""Contact sheets: grids of labeled images, many heads or many views at a glance."""

from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

from panohead.errors import PanoHeadError

_BACKGROUND = "white"
_INK = (40, 40, 40)


def contact_sheet(
    rows: Sequence[Sequence[Image.Image | None]],
    *,
    row_labels: Sequence[str] = (),
    column_labels: Sequence[str] = (),
    title: str = "",
    cell_size: int | None = None,
    padding: int = 8,
    transparent: bool = False,
) -> Image.Image:
    """Return images in rows on white, or (``transparent``) as RGBA without a background.

    Args:
        rows: images; rows may differ in length, None leaves a cell empty.
        row_labels: texts left of the rows.
        column_labels: texts above the columns.
        title: text above everything.
        cell_size: longest side of a cell in pixels; None takes the largest image's. Images are fitted into their cell,
            centered; transparent ones lie on white.
        padding: pixels between the cells.
        transparent: leave the background empty.

    Raises:
        PanoHeadError: when there is no image at all.
    """
    images = [image for row in rows for image in row if image is not None]
    if not images:
        raise PanoHeadError("a contact sheet needs at least one image; give some")
    largest = (max(p.width for p in images), max(p.height for p in images))
    scale = 1.0 if cell_size is None else cell_size / max(largest)
    cell = (max(1, round(largest[0] * scale)), max(1, round(largest[1] * scale)))
    font = ImageFont.load_default(size=max(11, min(cell) // 10))

    left = padding + max((_text_size(label, font)[0] + padding for label in row_labels), default=0)
    line = _text_size("Ag", font)[1] + padding
    top = padding + (line if title else 0) + (line if any(column_labels) else 0)
    columns = max(len(row) for row in rows)
    width = max(left + columns * (cell[0] + padding), left + _text_size(title, font)[0] + padding)
    size = (width, top + len(rows) * (cell[1] + padding))
    sheet = Image.new("RGBA", size, (255, 255, 255, 0)) if transparent else Image.new("RGB", size, _BACKGROUND)

    for i, row in enumerate(rows):
        for j, image in enumerate(row):
            if image is not None:
                corner = (left + j * (cell[0] + padding), top + i * (cell[1] + padding))
                _paste_fitted(sheet, image, corner, cell)
    draw = ImageDraw.Draw(sheet)
    if title:
        draw.text((left, padding), title, fill=_INK, font=font)
    for j, label in enumerate(column_labels[:columns]):
        center = left + j * (cell[0] + padding) + cell[0] / 2
        draw.text((center, top - padding), label, fill=_INK, font=font, anchor="mb", align="center")
    for i, label in enumerate(row_labels[: len(rows)]):
        middle = top + i * (cell[1] + padding) + cell[1] / 2
        draw.text((left - padding, middle), label, fill=_INK, font=font, anchor="rm")
    return sheet


def _text_size(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> tuple[int, int]:
    box = font.getbbox(text)
    return int(box[2] - min(box[0], 0)) + 1, int(box[3]) + 1


def _paste_fitted(sheet: Image.Image, image: Image.Image, corner: tuple[int, int], cell: tuple[int, int]) -> None:
    """Paste an image, scaled to fit the cell (of 16-bit depth, a preview: it has no sensible gray here)."""
    scale = min(cell[0] / image.width, cell[1] / image.height)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    image = image.convert("RGBA" if "A" in image.getbands() else "RGB")
    if image.size != size:
        image = image.resize(size, Image.Resampling.LANCZOS)
    place = (corner[0] + (cell[0] - size[0]) // 2, corner[1] + (cell[1] - size[1]) // 2)
    # Nothing is mixed on a sheet without a background: an image brings its own transparency.
    mixed = image.mode == "RGBA" and sheet.mode == "RGB"
    sheet.paste(image, place, image if mixed else None)
