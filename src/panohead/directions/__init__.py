"""Directions in w along which heads of any generator change: principal ones, and named ones found without labels."""

from panohead.directions.direction_file import Directions, load_directions, save_directions
from panohead.directions.find import DirectionSettings, find_directions

__all__ = ["DirectionSettings", "Directions", "find_directions", "load_directions", "save_directions"]
