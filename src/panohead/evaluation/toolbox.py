"""Optional packages and weights, each loaded once when a metric asks for it, or the reason for its absence."""

from collections.abc import Callable
from typing import Any

import torch

from panohead.errors import PanoHeadError
from panohead.evaluation.back_of_head import BackOfHead, DensityChecks
from panohead.evaluation.camera_error import CameraError
from panohead.evaluation.consistency import Consistency
from panohead.evaluation.head_views import HeadMetric
from panohead.evaluation.identity import Identity
from panohead.evaluation.mask_metrics import Leakage, MaskError
from panohead.evaluation.optional_tools import AlignerPose, MediapipeFaceDetector, PersonSegmenter
from panohead.evaluation.results import Skipped
from panohead.evaluation.settings import EvaluationSettings
from panohead.evaluation.texture_sticking import TextureSticking
from panohead.perceptual.face_identity import DlibEmbedder, OnnxEmbedder
from panohead.perceptual.inception import Inception, load_inception

_USES = {"segmenter": "mask", "face detector": "back", "aligner": "camera", "embedder": "identity"}
"""Third-party models that are measured on photos too, and their metrics."""


class Toolbox:
    """Third-party models of one evaluation, shared by all its columns."""

    def __init__(self, settings: EvaluationSettings) -> None:
        self.settings = settings
        self._tools: dict[str, Any] = {}

    def inception(self, device: torch.device) -> Inception | PanoHeadError:
        """Return the network of all metrics of sets but ``swd``, or the error that explains its absence."""
        found: Inception | PanoHeadError = self._open(
            "inception", lambda: load_inception(self.settings.inception_weights, device)
        )
        return found

    def for_photos(self) -> dict[str, Any]:
        """Return the loaded models whose metric is wanted: "segmenter", "face detector", "aligner", "embedder"."""
        opened = {name: self._tools.get(name) for name, metric in _USES.items() if metric in self.settings.metrics}
        return {name: tool for name, tool in opened.items() if tool is not None and not isinstance(tool, PanoHeadError)}

    def head_metrics(self) -> tuple[list[HeadMetric], list[Skipped]]:
        """Return the metrics that can be measured here, and the reasons for the others."""
        wanted = self.settings.metrics
        metrics: list[HeadMetric] = []
        skipped: list[Skipped] = []

        def with_tool(name: str, tool: str, make: Callable[[], Any], metric: Callable[[Any], HeadMetric]) -> None:
            found = self._open(tool, make)
            if isinstance(found, PanoHeadError):
                skipped.append(Skipped(name, str(found)))
            else:
                metrics.append(metric(found))

        if "consistency" in wanted:
            metrics.append(Consistency())
        if "sticking" in wanted:
            metrics.append(TextureSticking())
        if "mask" in wanted:
            metrics.append(Leakage())
            with_tool("mask error", "segmenter", PersonSegmenter, MaskError)
        if "back" in wanted:
            detector = self._open("face detector", MediapipeFaceDetector)
            if isinstance(detector, PanoHeadError):
                skipped.append(Skipped("face detection rate", str(detector)))
            metrics += [BackOfHead(None if isinstance(detector, PanoHeadError) else detector), DensityChecks()]
        if "identity" in wanted:
            with_tool("identity", "embedder", self._embedder, Identity)
        if "camera" in wanted:
            with_tool("camera", "aligner", AlignerPose, CameraError)
        return metrics, skipped

    def _embedder(self) -> DlibEmbedder | OnnxEmbedder:
        if self.settings.identity_model is None:
            return DlibEmbedder()
        detector = self._open("face detector", MediapipeFaceDetector)
        return OnnxEmbedder(self.settings.identity_model, None if isinstance(detector, PanoHeadError) else detector)

    def _open(self, name: str, make: Callable[[], Any]) -> Any:
        """Return an optional model, loaded once, or the error that explains its absence."""
        if name not in self._tools:
            try:
                self._tools[name] = make()
            except PanoHeadError as error:
                self._tools[name] = error
        return self._tools[name]
