"""Photos to heads: the latent search and the tuning of the generator (paper section 4.4), and what came of them."""

from panohead.inversion.fast import FastConfig
from panohead.inversion.journal import Journal, Step
from panohead.inversion.losses import FeatureLoss, PictureLoss, PyramidLoss
from panohead.inversion.official import OfficialConfig
from panohead.inversion.reconstruct import Reconstruction, open_reconstruction, reconstruct

__all__ = [
    "FastConfig",
    "FeatureLoss",
    "Journal",
    "OfficialConfig",
    "PictureLoss",
    "PyramidLoss",
    "Reconstruction",
    "Step",
    "open_reconstruction",
    "reconstruct",
]
