"""The ``prepare`` pipeline: folders and archives of photos to a dataset of crops, cameras and masks."""

from panohead.preparation.records import CropRecord, PhotoRecord
from panohead.preparation.run import PreparationProgress, PrepareSummary, finish, prepare, prepare_steps
from panohead.preparation.settings import PrepareSettings

__all__ = [
    "CropRecord",
    "PhotoRecord",
    "PreparationProgress",
    "PrepareSettings",
    "PrepareSummary",
    "finish",
    "prepare",
    "prepare_steps",
]
