"""Full-range head pose from small networks the user brings as ONNX files.

WHENet (BSD-3): 224 pixels, three rows of softmax bins; yaw has 120 of 3 degrees, pitch and roll 66. Keras exports give
yaw, pitch, roll; PINTO's ONNX files yaw, roll, pitch. 6DRepNet360 (MIT): 224 pixels, a rotation matrix, which is the
transposed view rotation. WHENet's labels are coarse (its yaw error on other data is 30 degrees by others' measurement).
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, UInt8

from panohead.data.pose_convention import nearest_rotation, view_of_head_angles
from panohead.errors import PanoHeadError

PoseKind = Literal["whenet", "whenet-keras", "6drepnet360"]
"""whenet: PINTO's order of outputs (yaw, roll, pitch)."""

_MEAN = np.array([0.485, 0.456, 0.406], dtype=np.float32)
_STD = np.array([0.229, 0.224, 0.225], dtype=np.float32)
_INPUT_PX = 224
_YAW_BINS = 120
_BIN_DEG, _YAW_FROM_DEG, _OTHER_FROM_DEG = 3.0, -180.0, -99.0


@runtime_checkable
class Network(Protocol):
    """What is used of an onnxruntime session."""

    def run(self, output_names: Any, input_feed: dict[str, Any]) -> Sequence[Any]:
        """The outputs for the named inputs."""
        ...

    def get_inputs(self) -> Sequence[Any]:
        """Descriptions with ``name`` and ``shape``."""
        ...


def open_network(path: Path) -> Network:
    """An ONNX file on one CPU thread.

    Raises:
        PanoHeadError: when onnxruntime is not installed or the file is none that it reads.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise PanoHeadError(f"{path} needs onnxruntime: pip install 'panohead[onnx]'") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime raises many kinds of its own
        raise PanoHeadError(f"cannot open {path} as an ONNX model ({error}); give another file") from error


class PoseModel:
    """Head pose of an upright crop of a head."""

    def __init__(self, network: Network, kind: PoseKind) -> None:
        self._network, self._kind = network, kind

    def view(self, head: UInt8[np.ndarray, "height width 3"]) -> Float[np.ndarray, "3 3"]:
        """The view rotation of the head in a picture that it fills."""
        entry = self._network.get_inputs()[0]
        pixels = network_input(head, _INPUT_PX)
        if len(entry.shape) == 4 and entry.shape[-1] == 3:
            pixels = pixels.transpose(0, 2, 3, 1)
        outputs = [np.asarray(value) for value in self._network.run(None, {entry.name: pixels})]
        return decode_6drepnet360(outputs) if self._kind == "6drepnet360" else decode_whenet(outputs, self._kind)


def decode_whenet(outputs: Sequence[np.ndarray], kind: PoseKind = "whenet") -> Float[np.ndarray, "3 3"]:
    """The view rotation from WHENet's three outputs; the one with 120 bins is yaw wherever it stands.

    Raises:
        PanoHeadError: when the outputs are not those of WHENet.
    """
    rows = [np.ravel(value).astype(np.float64) for value in outputs]
    if sorted(len(row) for row in rows) != [66, 66, _YAW_BINS]:
        sizes = ", ".join(str(len(row)) for row in rows)
        raise PanoHeadError(f"the pose model has outputs of {sizes} numbers, not WHENet's 120, 66, 66; set --pose-kind")
    yaw = next(row for row in rows if len(row) == _YAW_BINS)
    first, second = (row for row in rows if len(row) != _YAW_BINS)
    pitch, roll = (first, second) if kind == "whenet-keras" else (second, first)
    return view_of_head_angles(
        expected_bin(yaw) * _BIN_DEG + _YAW_FROM_DEG,
        expected_bin(pitch) * _BIN_DEG + _OTHER_FROM_DEG,
        expected_bin(roll) * _BIN_DEG + _OTHER_FROM_DEG,
    )


def decode_6drepnet360(outputs: Sequence[np.ndarray]) -> Float[np.ndarray, "3 3"]:
    """The view rotation from 6DRepNet360's rotation matrix.

    Raises:
        PanoHeadError: when the output is no 3 x 3 matrix.
    """
    values = np.ravel(outputs[0]).astype(np.float64)
    if len(values) != 9 or not np.isfinite(values).all():
        raise PanoHeadError(f"the pose model gives {len(values)} numbers, not a rotation matrix; set --pose-kind")
    return nearest_rotation(values.reshape(3, 3).T)


def expected_bin(scores: Float[np.ndarray, " bin"]) -> float:
    """The mean bin under the softmax of the scores; scores that are a distribution already are taken as one."""
    is_distribution = scores.min() >= 0 and abs(scores.sum() - 1) < 1e-3
    weights = scores if is_distribution else np.exp(scores - scores.max())
    return float(np.sum(weights * np.arange(len(scores))) / np.sum(weights))


def network_input(
    image: UInt8[np.ndarray, "height width 3"], size: int, mean: np.ndarray = _MEAN, std: np.ndarray = _STD
) -> Float[np.ndarray, "1 3 size size"]:
    """A picture as networks trained on ImageNet take it."""
    from PIL import Image

    small = Image.fromarray(np.ascontiguousarray(image)).resize((size, size), Image.Resampling.BILINEAR)
    pixels = (np.asarray(small, dtype=np.float32) / 255 - mean) / std
    return pixels.transpose(2, 0, 1)[None].astype(np.float32)
