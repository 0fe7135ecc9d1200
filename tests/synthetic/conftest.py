"""Scenes shared by several tests; building one takes about a second."""

import pytest

from panohead.synthetic.head import SyntheticHead, build_head
from panohead.synthetic.renderer.scene import Scene, build_scene
from synthetic.altered import person_with


@pytest.fixture(scope="session")
def short_head() -> SyntheticHead:
    return build_head(person_with(hair_style="buzz", beard="none", clothes="crew", headwear="none", glasses="none"))


@pytest.fixture(scope="session")
def short_scene(short_head: SyntheticHead) -> Scene:
    return build_scene(short_head)


@pytest.fixture(scope="session")
def long_head() -> SyntheticHead:
    return build_head(person_with(hair_style="wavy", beard="full", gender=0.9, age=50.0, glasses="round"))
