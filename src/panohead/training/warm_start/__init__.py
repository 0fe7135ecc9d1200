"""Multi-view warm start of a generator on a dataset that says which person each photo shows; not in the paper."""

from panohead.training.warm_start.fit import WarmStart, WarmStartConfig
from panohead.training.warm_start.multiview import MultiViewData, load_multiview

__all__ = ["MultiViewData", "WarmStart", "WarmStartConfig", "load_multiview"]
