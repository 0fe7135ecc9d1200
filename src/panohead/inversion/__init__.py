"""Reconstruction of heads from photos: latent search, pivotal tuning (PanoHead 4), and the measures of the result."""

from panohead.inversion.encoder_guess import EncoderGuess, Start, guess_head
from panohead.inversion.fast_config import FastConfig
from panohead.inversion.head_edit import HeadEdit
from panohead.inversion.losses import FeatureLoss, ImageLoss, PyramidLoss
from panohead.inversion.official_preset import OfficialConfig
from panohead.inversion.optimization.log import OptimizationCallbacks, OptimizationLog, OptimizationStep
from panohead.inversion.optimization.resume_file import ResumeFile
from panohead.inversion.output_folder import OutputFolder, open_output_folder
from panohead.inversion.photo import AlignedPhoto
from panohead.inversion.quick_preset import QuickConfig
from panohead.inversion.reconstruct import find_preset, reconstruct
from panohead.inversion.reconstructed_head import ReconstructedHead, open_reconstruction

__all__ = [
    "AlignedPhoto",
    "EncoderGuess",
    "FastConfig",
    "FeatureLoss",
    "HeadEdit",
    "ImageLoss",
    "OfficialConfig",
    "OptimizationCallbacks",
    "OptimizationLog",
    "OptimizationStep",
    "OutputFolder",
    "PyramidLoss",
    "QuickConfig",
    "ReconstructedHead",
    "ResumeFile",
    "Start",
    "find_preset",
    "guess_head",
    "open_output_folder",
    "open_reconstruction",
    "reconstruct",
]
