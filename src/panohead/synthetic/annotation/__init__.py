"""Annotation of synthetic views: a part label per pixel, and landmarks with their visibility."""

from panohead.synthetic.annotation.annotate import Annotation, annotate, labeled_scene
from panohead.synthetic.annotation.landmarks import LANDMARKS, MIRRORED
from panohead.synthetic.annotation.parts import COLORS, PARTS, HeadPart

__all__ = ["COLORS", "LANDMARKS", "MIRRORED", "PARTS", "Annotation", "HeadPart", "annotate", "labeled_scene"]
