"""Surfaces of heads that move: the CC0 head basis fitted to them, and its 52 ARKit expressions as offsets."""

from panohead.morphs.base_fit import FittedBase, fit_base
from panohead.morphs.expressive import ExpressiveSurface, expressive_surface

__all__ = ["ExpressiveSurface", "FittedBase", "expressive_surface", "fit_base"]
