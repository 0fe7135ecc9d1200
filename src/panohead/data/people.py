"""``people.jsonl`` beside a dataset's images: a line per person, with the photos that show it."""

from collections.abc import Iterator
from pathlib import Path
from typing import NotRequired, TypedDict

from panohead.files.read_json import read_json_lines

PEOPLE_FILE = "people.jsonl"


class ListedView(TypedDict):
    """A photo of a person: its name among the images, and its shot (0 where there is one only)."""

    image: str
    shot: NotRequired[int]


class ListedPerson(TypedDict):
    """A person and its photos."""

    person: int
    views: list[ListedView]


def read_people(file: Path) -> Iterator[ListedPerson]:
    """Yield the people of a file, with all that is stored about them.

    Raises:
        PanoHeadError: naming the file, the line and what is wrong in it.
    """
    return read_json_lines(file, ListedPerson)
