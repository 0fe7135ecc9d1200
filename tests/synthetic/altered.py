"""A known person with some attributes changed."""

import dataclasses
from typing import Any

from panohead.synthetic.people import Person, sample_person


def person_with(index: int = 3, **changes: Any) -> Person:
    """Person ``index`` of seed 0, altered."""
    return dataclasses.replace(sample_person(0, index), **changes)
