"""Frozen networks that turn images into features: definitions, and reading of their weights."""

from panohead.perceptual.face_identity import DlibEmbedder, OnnxEmbedder
from panohead.perceptual.head_parts import HeadParts, HeadReading
from panohead.perceptual.head_parts_file import load_head_parts
from panohead.perceptual.inception import Inception, load_inception
from panohead.perceptual.lpips_vgg import LpipsVgg, load_lpips_vgg
from panohead.perceptual.parts_loss import PartsDistance

__all__ = [
    "DlibEmbedder",
    "HeadParts",
    "HeadReading",
    "Inception",
    "LpipsVgg",
    "OnnxEmbedder",
    "PartsDistance",
    "load_head_parts",
    "load_inception",
    "load_lpips_vgg",
]
