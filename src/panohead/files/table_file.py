"""Tables that users make with spreadsheets: CSV of any separator and encoding, read by looking at the file."""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from panohead.errors import PanoHeadError
from panohead.files.regular import read_regular, reason_of

_SEPARATORS = (",", ";", "\t", "|")
_BOMS = (
    (b"\xef\xbb\xbf", "utf-8-sig"),
    (b"\xff\xfe\x00\x00", "utf-32"),
    (b"\x00\x00\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)
_FALLBACK = "cp1252"
"""Encoding of spreadsheets in Western Windows: what is not UTF-8 is taken for it."""


@dataclass(frozen=True)
class FileRow:
    """One line of a table.

    Attributes:
        line: its number in the file, from 1 (of its last line, where a cell holds line breaks).
        cells: text by column; names of columns are in lower case.
        surplus: cells beyond the columns.
        decimal_comma: True where the separator leaves the comma to numbers.
    """

    line: int
    cells: dict[str, str]
    surplus: tuple[str, ...]
    decimal_comma: bool

    def number(self, text: str) -> float:
        """Return the number that a cell of this table holds, with a decimal comma where commas separate nothing.

        Raises:
            ValueError: when it is none.
        """
        text = text.strip().replace("\N{MINUS SIGN}", "-")
        if self.decimal_comma and text.count(",") == 1 and "." not in text:
            text = text.replace(",", ".")
        return float(text)


def decode_text(content: bytes) -> str:
    """Decode text in UTF-8, UTF-16 or UTF-32, with or without a byte order mark; anything else as Windows' Western.

    Raises:
        UnicodeDecodeError: when it is cut off in the middle of a letter of UTF-16 or UTF-32.
    """
    for mark, encoding in _BOMS:
        if content.startswith(mark):
            return content.decode(encoding).removeprefix("\ufeff")
    # Names of columns are ASCII: in UTF-16 every second byte of them is zero.
    if content[1:2] == b"\0" and content[:1] != b"\0":
        return content.decode("utf-16-le")
    if content[:1] == b"\0" and content[1:2] not in (b"\0", b""):
        return content.decode("utf-16-be")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return content.decode(_FALLBACK, errors="replace")


def read_table(path: Path, what: str = "table") -> tuple[list[str], list[FileRow]]:
    """Read a CSV file whose first line names the columns: separated by commas, semicolons, tabs or bars.

    Empty lines, and those of nothing but separators as spreadsheets leave them, are left out; so is a first line
    ``sep=;`` of Excel, which is heeded.

    Args:
        path: the file.
        what: what it holds, for errors.

    Returns:
        Names of the columns in lower case, and the rows.

    Raises:
        PanoHeadError: when the file cannot be read or is no table; names it.
    """
    try:
        text = decode_text(read_regular(path))
    except (OSError, UnicodeDecodeError) as error:
        raise PanoHeadError(
            f"cannot read the {what} in {path} ({reason_of(error)}); give a CSV file in UTF-8"
        ) from error
    said, skipped = None, 0
    first, _, rest = text.partition("\n")
    if first.strip().lower().startswith("sep=") and len(first.strip()) == 5:
        said, text, skipped = first.strip()[-1], rest, 1
    separator = said or _separator(text)
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=separator != "\t")
    try:
        lines = [(rows.line_num + skipped, cells) for cells in rows if any(cell.strip() for cell in cells)]
    except csv.Error as error:
        raise PanoHeadError(f"line {rows.line_num + skipped} of {path} is not CSV ({error}); correct it") from error
    if not lines:
        return [], []
    columns = [name.strip().lower() for name in lines[0][1]]
    return columns, list(_rows(columns, lines[1:], separator != ","))


def _rows(columns: list[str], lines: list[tuple[int, list[str]]], decimal_comma: bool) -> Iterator[FileRow]:
    for line, cells in lines:
        named = {name: cell for name, cell in zip(columns, cells, strict=False) if name}
        yield FileRow(line, named, tuple(cell for cell in cells[len(columns) :] if cell.strip()), decimal_comma)


def _separator(text: str) -> str:
    """Return the separator of the first line that says anything: the one that makes the most columns of it."""
    header = next((line for line in text.splitlines() if line.strip()), "")
    return max(_SEPARATORS, key=header.count)
