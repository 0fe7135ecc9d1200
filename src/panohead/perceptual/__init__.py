"""Frozen networks that turn images into features: definitions, and reading of their weights."""

from panohead.perceptual.face_identity import DlibEmbedder, OnnxEmbedder
from panohead.perceptual.inception import Inception, load_inception
from panohead.perceptual.lpips_vgg import LpipsVgg, load_lpips_vgg

__all__ = ["DlibEmbedder", "Inception", "LpipsVgg", "OnnxEmbedder", "load_inception", "load_lpips_vgg"]
