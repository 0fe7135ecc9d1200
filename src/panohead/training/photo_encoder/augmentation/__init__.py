"""Photographic augmentation: what separates a clean render from a photo that somebody took."""

from panohead.training.photo_encoder.augmentation.augment import AugmentedPhotos, augment
from panohead.training.photo_encoder.augmentation.config import FAMILIES, PhotoAugmentation

__all__ = ["FAMILIES", "AugmentedPhotos", "PhotoAugmentation", "augment"]
