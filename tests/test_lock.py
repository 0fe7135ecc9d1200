"""The lock file pins every requirement of the package and its development tools, within pyproject.toml's ranges."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
REQUIREMENTS = [Requirement(r) for r in [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["dev"]]]
LINES = [line for line in (ROOT / "requirements-lock.txt").read_text().splitlines() if not line.startswith("#")]


@pytest.mark.parametrize("requirement", REQUIREMENTS, ids=lambda requirement: requirement.name)
def test_requirement_is_pinned_within_its_range(requirement: Requirement) -> None:
    pins = dict(line.split("==") for line in LINES)
    assert requirement.specifier.contains(pins[canonicalize_name(requirement.name)])


def test_pins_are_exact_sorted_and_free_of_local_builds() -> None:
    assert all(re.fullmatch(r"[a-z0-9-]+==[0-9][0-9a-z.]*", line) for line in LINES)
    names = [line.split("==")[0] for line in LINES]
    assert sorted(set(names)) == names


def test_makefile_asks_for_the_locked_torch() -> None:
    asked = re.search(r"^TORCH \?= (.+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert asked is not None
    assert asked[1] in LINES
