"""A check of the user's ONNX files against what their options ask for, before the first photo."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from panohead.alignment.detector_models import DetectorModels
from panohead.alignment.head_box import HeadDetector
from panohead.alignment.person_mask import OnnxMasker
from panohead.alignment.pose_network import (
    INPUT_PX,
    Network,
    NetworkInput,
    PoseModel,
    describe_input,
    open_network,
)
from panohead.errors import PanoHeadError

_GRAY = np.full((48, 64, 3), 128, dtype=np.uint8)


def check_models(models: DetectorModels) -> None:
    """Open the networks that are given and run each on a gray image.

    Raises:
        PanoHeadError: naming the option, the file and what is wrong with it.
    """
    if models.pose_model is not None:
        _try("--pose-model", models.pose_model, lambda n: PoseModel(n, models.pose_kind).view(_GRAY), _pose_input)
    if models.head_model is not None:
        _try("--head-model", models.head_model, lambda n: HeadDetector(n).boxes(_GRAY), _head_input)
    if models.mask_model is not None:
        _try("--mask-model", models.mask_model, lambda n: OnnxMasker(n).mask(_GRAY), lambda _: None)


def _try(option: str, path: Path, use: Callable[[Network], Any], check: Callable[[NetworkInput], None]) -> None:
    network = open_network(path)
    try:
        check(describe_input(network))
        use(network)
    except FloatingPointError:
        # A gray image is no photo; a network may have no finite answer to it.
        return
    except Exception as error:  # onnxruntime raises many kinds of its own
        reason = " ".join(str(error).split())
        raise PanoHeadError(f"{option} {path} cannot be used: {reason}") from error


def _pose_input(entry: NetworkInput) -> None:
    if entry.size not in (None, INPUT_PX):
        raise PanoHeadError(f"it takes images of {entry.size} pixels; pose networks take {INPUT_PX}")


def _head_input(entry: NetworkInput) -> None:
    if entry.channels_last:
        raise PanoHeadError("its input has the channels last; export it with 1 x 3 x size x size")
