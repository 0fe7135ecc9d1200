"""Adaptive discriminator augmentation (Karras et al., NeurIPS 2020): transforms, their probability, its control."""

from panohead.training.augmentation.augment import augment
from panohead.training.augmentation.config import AugmentConfig, TransformMultipliers, TransformStrengths
from panohead.training.augmentation.probability import AdaptiveProbability

__all__ = ["AdaptiveProbability", "AugmentConfig", "TransformMultipliers", "TransformStrengths", "augment"]
