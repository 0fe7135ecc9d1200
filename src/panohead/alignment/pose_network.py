"""Full-range head pose from small networks that the user provides as ONNX files.

WHENet (BSD-3): 224 pixels, three rows of softmax bins; yaw has 120 of 3 degrees, pitch and roll 66. Keras exports give
yaw, pitch, roll; PINTO's ONNX files yaw, roll, pitch. 6DRepNet360 (MIT): 224 pixels, a rotation matrix, which is the
transposed view rotation. WHENet's labels are coarse (its yaw error on other data is 30 degrees by others' measurement).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, UInt8

from panohead.alignment.angles import nearest_rotation, view_of_head_angles
from panohead.alignment.detector_models import PoseKind
from panohead.errors import PanoHeadError
from panohead.files.regular import MAX_WEIGHTS_BYTES, check_regular
from panohead.system.optional import failure_of

# ImageNet's mean and standard deviation, channel by channel.
_MEAN = np.array([0.485, 0.456, 0.406], dtype=np.float32)
_STD = np.array([0.229, 0.224, 0.225], dtype=np.float32)
INPUT_PX = 224
"""Side of the pose networks' input."""
_YAW_BINS = 120
_BIN_DEG, _YAW_FROM_DEG, _OTHER_FROM_DEG = 3.0, -180.0, -99.0


@runtime_checkable
class Network(Protocol):
    """The part of an onnxruntime session that is used."""

    def run(self, output_names: Any, input_feed: dict[str, Any]) -> Sequence[Any]:
        """Return the outputs for the named inputs."""
        ...

    def get_inputs(self) -> Sequence[Any]:
        """Return descriptions of the inputs, with ``name`` and ``shape``."""
        ...


def open_network(path: Path) -> Network:
    """Open an ONNX file on one CPU thread.

    Raises:
        PanoHeadError: when onnxruntime is not installed or cannot read the file.
    """
    try:
        import onnxruntime
    except ImportError as error:
        failure = failure_of("onnxruntime", error)
        raise PanoHeadError(f"{path} needs onnxruntime, and {failure.reason}: {failure.remedy}") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    try:
        check_regular(path, MAX_WEIGHTS_BYTES)
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime raises many kinds of its own
        reason = " ".join(str(getattr(error, "strerror", None) or error).split())
        raise PanoHeadError(f"cannot open {path} as an ONNX model ({reason}); give another file") from error


@dataclass(frozen=True)
class NetworkInput:
    """The image that a network takes.

    Attributes:
        name: name of the input.
        size: side of the square image in pixels; None for any.
        channels_last: True for the layout rows, columns, channels; False for channels, rows, columns.
    """

    name: str
    size: int | None
    channels_last: bool


def describe_input(network: Network) -> NetworkInput:
    """Return the description of the image that a network takes.

    Raises:
        PanoHeadError: when it takes anything but one square RGB image of 32-bit numbers.
    """
    entries = network.get_inputs()
    if len(entries) != 1:
        raise PanoHeadError(f"it has {len(entries)} inputs; it must take one image")
    name, shape, kind = entries[0].name, list(entries[0].shape), getattr(entries[0], "type", "tensor(float)")
    text = f"its input {name} is {' x '.join(str(length) for length in shape)}"
    if kind != "tensor(float)":
        raise PanoHeadError(f"its input {name} is of the kind {kind}; export it with 32-bit floating point numbers")
    if len(shape) != 4 or 3 not in (shape[1], shape[3]):
        raise PanoHeadError(f"{text}; it must be 1 x 3 x size x size")
    channels_last = shape[1] != 3
    sides = [side for side in (shape[1:3] if channels_last else shape[2:4]) if isinstance(side, int)]
    if len(set(sides)) > 1:
        raise PanoHeadError(f"{text}; export it for a square image")
    return NetworkInput(name, sides[0] if sides else None, channels_last)


def run_network(network: Network, pixels: Float[np.ndarray, "1 3 size size"]) -> list[np.ndarray]:
    """Run a network on an image, in the layout that it takes, and return its outputs."""
    entry = describe_input(network)
    image = pixels.transpose(0, 2, 3, 1) if entry.channels_last else pixels
    return [np.asarray(value) for value in network.run(None, {entry.name: np.ascontiguousarray(image)})]


class PoseModel:
    """Network for the pose of a head in an upright crop."""

    def __init__(self, network: Network, kind: PoseKind) -> None:
        self._network, self._kind = network, kind

    def view(self, head: UInt8[np.ndarray, "height width 3"]) -> Float[np.ndarray, "3 3"]:
        """Return the view rotation (see :mod:`panohead.alignment.angles`) of the head that fills an image."""
        outputs = run_network(self._network, network_input(head, INPUT_PX))
        return decode_6drepnet360(outputs) if self._kind == "6drepnet360" else decode_whenet(outputs, self._kind)


def decode_whenet(outputs: Sequence[np.ndarray], kind: PoseKind = "whenet") -> Float[np.ndarray, "3 3"]:
    """Return the view rotation of WHENet's three outputs; the one with 120 bins is yaw wherever it stands.

    Raises:
        PanoHeadError: when the outputs are not those of WHENet.
        FloatingPointError: when they are not finite.
    """
    rows = [np.ravel(value).astype(np.float64) for value in outputs]
    if [len(row) for row in rows] == [3]:
        raise PanoHeadError(
            "the pose model gives three angles at once, in an order that the file does not tell; "
            "give the export without post-processing (outputs of 120, 66 and 66 numbers)"
        )
    if sorted(len(row) for row in rows) != [66, 66, _YAW_BINS]:
        sizes = ", ".join(str(len(row)) for row in rows)
        raise PanoHeadError(f"the pose model has outputs of {sizes} numbers, not WHENet's 120, 66, 66; set --pose-kind")
    _require_finite(rows)
    # Angle = expected bin * 3 degrees from the lower end: yaw from -180, the others from -99.
    yaw = next(row for row in rows if len(row) == _YAW_BINS)
    first, second = (row for row in rows if len(row) != _YAW_BINS)
    pitch, roll = (first, second) if kind == "whenet-keras" else (second, first)
    return view_of_head_angles(
        expected_bin(yaw) * _BIN_DEG + _YAW_FROM_DEG,
        expected_bin(pitch) * _BIN_DEG + _OTHER_FROM_DEG,
        expected_bin(roll) * _BIN_DEG + _OTHER_FROM_DEG,
    )


def decode_6drepnet360(outputs: Sequence[np.ndarray]) -> Float[np.ndarray, "3 3"]:
    """Return the view rotation of 6DRepNet360's output, a rotation matrix.

    Raises:
        PanoHeadError: when the output is no 3 x 3 matrix.
        FloatingPointError: when it is not finite.
    """
    values = np.ravel(outputs[0]).astype(np.float64)
    if len(outputs) != 1 or len(values) != 9:
        sizes = ", ".join(str(np.size(value)) for value in outputs)
        raise PanoHeadError(f"the pose model has outputs of {sizes} numbers, not one rotation matrix; set --pose-kind")
    _require_finite([values])
    # The network gives the head's axes in rows: the transposed view rotation.
    return nearest_rotation(values.reshape(3, 3).T)


def _require_finite(rows: Sequence[np.ndarray]) -> None:
    # The fault of one photo, unlike outputs of a wrong shape, which are the file's fault.
    if not all(np.isfinite(row).all() for row in rows):
        raise FloatingPointError("the pose model gives numbers that are not finite")


def expected_bin(scores: Float[np.ndarray, " bin"]) -> float:
    """Return the mean bin under the softmax of the scores; scores that already are a distribution are taken as one."""
    is_distribution = scores.min() >= 0 and abs(scores.sum() - 1) < 1e-3
    weights = scores if is_distribution else np.exp(scores - scores.max())
    return float(np.sum(weights * np.arange(len(scores))) / np.sum(weights))


def network_input(
    image: UInt8[np.ndarray, "height width 3"], size: int, mean: np.ndarray = _MEAN, std: np.ndarray = _STD
) -> Float[np.ndarray, "1 3 size size"]:
    """Resize an image (bilinear) and normalize it as networks trained on ImageNet take it."""
    from PIL import Image

    small = Image.fromarray(np.ascontiguousarray(image)).resize((size, size), Image.Resampling.BILINEAR)
    pixels = (np.asarray(small, dtype=np.float32) / 255 - mean) / std
    return pixels.transpose(2, 0, 1)[None].astype(np.float32)  # 1 3 size size
