"""Photos to heads: the latent search and the tuning of the generator (paper section 4.4), and what came of them."""

from panohead.inversion.fast_preset import FastConfig
from panohead.inversion.losses import FeatureLoss, ImageLoss, PyramidLoss
from panohead.inversion.official_preset import OfficialConfig
from panohead.inversion.optimization_log import OptimizationLog, OptimizationStep
from panohead.inversion.reconstruct import reconstruct
from panohead.inversion.reconstructed_head import ReconstructedHead, open_reconstruction

__all__ = [
    "FastConfig",
    "FeatureLoss",
    "ImageLoss",
    "OfficialConfig",
    "OptimizationLog",
    "OptimizationStep",
    "PyramidLoss",
    "ReconstructedHead",
    "open_reconstruction",
    "reconstruct",
]
