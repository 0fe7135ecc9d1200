"""Training of the network that knows heads (:mod:`panohead.perceptual.head_parts`), on renders with part maps."""

from panohead.training.head_parts.config import PartsTrainConfig
from panohead.training.head_parts.evaluate import evaluate_parts
from panohead.training.head_parts.fit import PartsFit
from panohead.training.head_parts.views import CHOICES, NUMBERS, AnnotatedViews

__all__ = ["CHOICES", "NUMBERS", "AnnotatedViews", "PartsFit", "PartsTrainConfig", "evaluate_parts"]
