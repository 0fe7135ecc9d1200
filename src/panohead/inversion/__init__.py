"""Photos to heads: the latent search and the tuning of the generator (paper section 4.4), and what came of them."""

from panohead.inversion.fast_preset import FastConfig
from panohead.inversion.journal import Journal, Step
from panohead.inversion.losses import FeatureLoss, PictureLoss, PyramidLoss
from panohead.inversion.official_preset import OfficialConfig
from panohead.inversion.reconstruct import reconstruct
from panohead.inversion.reconstructed_head import ReconstructedHead, open_reconstruction

__all__ = [
    "FastConfig",
    "FeatureLoss",
    "Journal",
    "OfficialConfig",
    "PictureLoss",
    "PyramidLoss",
    "ReconstructedHead",
    "Step",
    "open_reconstruction",
    "reconstruct",
]
