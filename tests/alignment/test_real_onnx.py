"""The adapters on real ONNX files through the real onnxruntime; skipped where either package is absent.

The networks are a few arithmetic nodes with the inputs and outputs of the real ones, and their answers depend on the
image: red, green and blue of the head give yaw, pitch and roll; the bright pixels are the head and the person.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from panohead.alignment.angles import orbit_of_view, view_of_orbit
from panohead.alignment.detector_check import check_models
from panohead.alignment.detectors import Detectors
from panohead.alignment.head_alignment import align_image
from panohead.alignment.head_box import HeadDetector, crop_of_box
from panohead.alignment.person_mask import OnnxMasker
from panohead.alignment.pose_network import PoseModel, open_network
from panohead.errors import PanoHeadError
from panohead.preparation.settings import PrepareSettings

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
FLOAT = 1
"""ONNX's number for 32-bit floating point numbers."""


class Graph:
    """Collects nodes and constants; every call returns the name of a value."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def constant(self, value: Any, dtype: Any = np.float32) -> str:
        self.constants.append(onnx.numpy_helper.from_array(np.asarray(value, dtype), f"c{len(self.constants)}"))
        return str(self.constants[-1].name)

    def op(self, kind: str, *inputs: Any, name: str | None = None, **attributes: Any) -> str:
        names = [value if isinstance(value, str) else self.constant(value) for value in inputs]
        name = name or f"v{len(self.nodes)}"
        self.nodes.append(onnx.helper.make_node(kind, names, [name], **attributes))
        return name

    def save(self, path: Path, shape: Sequence[Any], outputs: Sequence[str], kind: int = FLOAT) -> Path:
        """Outputs have no declared shape, as in many exports; ``in`` is the input."""
        describe = onnx.helper.make_tensor_value_info
        graph = onnx.helper.make_graph(
            self.nodes, "tiny", [describe("in", kind, shape)], [describe(o, FLOAT, None) for o in outputs]
        )
        graph.initializer.extend(self.constants)
        model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 13)], ir_version=8)
        onnx.save(model, str(path))
        return path


def mean_color(graph: Graph, last: bool) -> str:
    """Red, green, blue of an ImageNet-normalized input, 0 to 1, of shape [3]."""
    mean = graph.op("ReduceMean", "in", axes=[0, 1, 2] if last else [0, 2, 3], keepdims=0)
    return graph.op("Add", graph.op("Mul", mean, STD), MEAN)


def whenet(path: Path, keras: bool = False, softmax: bool = False, shape: Sequence[Any] | None = None) -> Path:
    """yaw = 360 red - 180, pitch = 198 green - 99, roll = 198 blue - 99, as bumps over the bins."""
    graph, outputs = Graph(), {}
    color = mean_color(graph, keras)
    for channel, (name, bins) in enumerate({"yaw": 120, "pitch": 66, "roll": 66}.items()):
        value = graph.op("Gather", color, graph.constant([channel], np.int64), axis=0)
        away = graph.op("Sub", np.arange(bins)[None], graph.op("Mul", value, [float(bins)]))
        scores = graph.op("Neg", graph.op("Mul", away, away), name=name)
        outputs[name] = graph.op("Softmax", scores, name=f"{name}_probability", axis=1) if softmax else scores
    order = ("yaw", "pitch", "roll") if keras else ("yaw", "roll", "pitch")
    shape = shape or (["batch", 224, 224, 3] if keras else [1, 3, 224, 224])
    return graph.save(path, shape, [outputs[name] for name in order])


def sixd(path: Path, red: np.ndarray, dark: np.ndarray) -> Path:
    """A matrix between those of a red and of a black image."""
    graph = Graph()
    share = graph.op("Gather", mean_color(graph, False), graph.constant([0], np.int64), axis=0)
    graph.op("Add", graph.op("Mul", share, red[None] - dark[None]), dark[None], name="rotation")
    return graph.save(path, [1, 3, 224, 224], ["rotation"])


def yolo(path: Path, version: int, shape: Sequence[Any] = (1, 3, 640, 640)) -> Path:
    """The box of the pixels brighter than a half (letterboxing's gray is darker), among many of no score."""
    graph = Graph()
    gray = graph.op("ReduceMean", "in", axes=[1], keepdims=1)
    bright = graph.op("Cast", graph.op("Greater", gray, [0.5]), to=FLOAT)
    total = graph.op("Add", graph.op("ReduceSum", bright, keepdims=0), [1e-3])
    centers, lengths = [], []
    for axis_shape in ((1, 1, 1, 640), (1, 1, 640, 1)):
        place = np.arange(640.0).reshape(axis_shape) + 0.5
        first = graph.op("Div", graph.op("ReduceSum", graph.op("Mul", bright, place), keepdims=0), total)
        away = graph.op("Sub", place, first)
        second = graph.op("ReduceSum", graph.op("Mul", bright, graph.op("Mul", away, away)), keepdims=0)
        centers.append(first)
        # A uniform stretch of length L has the variance L^2 / 12.
        lengths.append(graph.op("Sqrt", graph.op("Mul", graph.op("Div", second, total), [12.0])))
    found = graph.op("Min", graph.op("Mul", total, [1e-3]), [0.9])
    tail = [found] if version == 8 else [found, graph.constant([0.9])]
    row = graph.op("Concat", *centers, *lengths, *tail, axis=0)
    if version == 8:
        row = graph.op("Reshape", row, graph.constant([1, 5, 1], np.int64))
        graph.op("Concat", row, np.zeros((1, 5, 8399)), name="output0", axis=2)
    else:
        row = graph.op("Reshape", row, graph.constant([1, 1, 6], np.int64))
        graph.op("Concat", np.zeros((1, 25199, 6)), row, name="output0", axis=1)
    return graph.save(path, shape, ["output0"])


def u2net(path: Path, shape: Sequence[Any] = (1, 3, 320, 320), scale: Any = STD[0], shift: float = MEAN[0]) -> Path:
    """Seven outputs as U2-Net has; the first is a logit of the red channel, not within 0..1."""
    graph = Graph()
    red = graph.op("Gather", "in", graph.constant([0], np.int64), axis=1)
    value = graph.op("Add", graph.op("Mul", red, [scale]), [shift])
    graph.op("Clip", graph.op("Mul", graph.op("Sub", value, [0.5]), [8.0]), np.float32(-3), np.float32(3), name="d0")
    for level in range(1, 7):
        graph.op("Mul", "d0", [0.0], name=f"d{level}")
    return graph.save(path, shape, [f"d{level}" for level in range(7)])


def frame_with_box(
    height: int, width: int, box: tuple[int, int, int, int], color: Sequence[int] = (255, 255, 255)
) -> Any:
    image = np.full((height, width, 3), 10, dtype=np.uint8)
    image[box[1] : box[3], box[0] : box[2]] = color
    return image


def even(red: float, green: float, blue: float) -> Any:
    return np.full((60, 50, 3), np.round(np.array([red, green, blue]) * 255), dtype=np.uint8)


@pytest.mark.parametrize("softmax", [False, True])
@pytest.mark.parametrize("kind", ["whenet", "whenet-keras"])
def test_whenet_files_give_the_angles_of_their_bins(kind: Any, softmax: bool, tmp_path: Path) -> None:
    model = PoseModel(open_network(whenet(tmp_path / "w.onnx", kind == "whenet-keras", softmax)), kind)
    for yaw, pitch, roll in ((120.0, 0.0, 0.0), (-60.0, 0.0, 0.0), (0.0, 30.0, 0.0), (0.0, 0.0, -40.0)):
        view = model.view(even((yaw + 180) / 360, (pitch + 99) / 198, (roll + 99) / 198))
        # 8-bit colors are steps of 1.4 and 0.8 degrees. A nose that points up has the camera below.
        np.testing.assert_allclose(orbit_of_view(view), (yaw, -pitch, roll), atol=1.5)


def test_6drepnet360_file_gives_the_transposed_view(tmp_path: Path) -> None:
    red, dark = view_of_orbit(140.0, 20.0, 5.0), view_of_orbit(-70.0, -10.0, 0.0)
    model = PoseModel(open_network(sixd(tmp_path / "6d.onnx", red.T, dark.T)), "6drepnet360")
    np.testing.assert_allclose(orbit_of_view(model.view(even(1, 0, 0))), (140.0, 20.0, 5.0), atol=0.1)
    np.testing.assert_allclose(orbit_of_view(model.view(even(0, 1, 1))), (-70.0, -10.0, 0.0), atol=0.1)


@pytest.mark.parametrize("shape", [(1, 3, 640, 640), ("batch", 3, "height", "width")])
@pytest.mark.parametrize("version", [5, 8])
def test_yolo_files_give_the_head_in_pixels_of_the_photo(version: int, shape: Any, tmp_path: Path) -> None:
    detector = HeadDetector(open_network(yolo(tmp_path / "y.onnx", version, shape)))
    box = (300, 200, 700, 700)
    for image in (frame_with_box(1200, 900, box), frame_with_box(800, 1600, box)):
        np.testing.assert_allclose(detector.boxes(image), [box], atol=4)
    assert detector.boxes(frame_with_box(400, 400, (0, 0, 0, 0))) == []


@pytest.mark.parametrize(
    "build",
    [
        lambda path: u2net(path),
        lambda path: u2net(path, ("batch", 3, "height", "width")),
        lambda path: u2net(path, (1, 3, 1024, 1024), 1.0, 0.5),
    ],
    ids=["u2net", "any-size", "isnet"],
)
def test_matting_files_give_a_mask_of_the_photo(build: Callable[[Path], Path], tmp_path: Path) -> None:
    masker = OnnxMasker(open_network(build(tmp_path / "m.onnx")))
    mask = masker.mask(frame_with_box(300, 200, (50, 60, 150, 240)))
    expected = frame_with_box(300, 200, (50, 60, 150, 240))[..., 0] > 128
    assert mask.shape == (300, 200)
    assert mask.min() == 0
    assert mask.max() == 1
    assert np.abs(mask - expected).mean() < 0.01
    assert masker.mask(even(0, 0, 0)).max() == 0, "a black photo has no person"
    # In between, the values show how the pixels were scaled for the network.
    ramp = np.broadcast_to(np.arange(256, dtype=np.uint8)[None, :, None], (256, 256, 3))
    logits = np.clip((np.arange(256) / 255 - 0.5) * 8, -3, 3)
    np.testing.assert_allclose(masker.mask(np.array(ramp))[128], (logits + 3) / 6, atol=0.02)


class NoFaces:
    def faces(self, image: np.ndarray, most: int) -> list[np.ndarray]:
        return []


def test_a_back_of_a_head_is_aligned_by_the_files(tmp_path: Path) -> None:
    detectors = Detectors(
        faces=NoFaces(),
        body=None,
        masker=OnnxMasker(open_network(u2net(tmp_path / "m.onnx"))),
        head=HeadDetector(open_network(yolo(tmp_path / "y.onnx", 8))),
        pose=PoseModel(open_network(sixd(tmp_path / "p.onnx", view_of_orbit(170, 9, 0).T, np.eye(3))), "6drepnet360"),
    )
    found = align_image(frame_with_box(900, 900, (300, 200, 600, 560), (255, 250, 250)), detectors)
    assert found is not None
    assert (found.kind, found.method) == ("coarse", "pose model")
    assert found.angles_deg[0] > 120
    np.testing.assert_allclose(found.crop.center, crop_of_box((300, 200, 600, 560)).center, atol=40)
    assert found.crop.half_px == pytest.approx(180 / 0.99, rel=0.02)


def test_right_files_pass_the_check_before_the_first_photo(tmp_path: Path) -> None:
    for kind, pose in (("whenet", whenet(tmp_path / "w.onnx")), ("whenet-keras", whenet(tmp_path / "k.onnx", True))):
        head, mask = yolo(tmp_path / "y.onnx", 5), u2net(tmp_path / "m.onnx")
        check_models(
            PrepareSettings(out=tmp_path / "out", pose_model=pose, pose_kind=kind, head_model=head, mask_model=mask)
        )


def constant_output(path: Path, shape: Sequence[Any], value: Any, kind: int = FLOAT) -> Path:
    graph = Graph()
    graph.op("Identity", value, name="out")
    return graph.save(path, shape, ["out"], kind)


def broken(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def outside_weights(path: Path) -> Path:
    """Its weights lay in a second file, which was not copied along."""
    constant_output(path, [1, 3, 224, 224], np.zeros((1, 4000)))
    onnx.save(onnx.load(str(path)), str(path), save_as_external_data=True, location="weights.bin", size_threshold=0)
    (path.parent / "weights.bin").unlink()
    return path


WRONG: dict[str, tuple[str, Callable[[Path], Path], str]] = {
    "absent": ("pose", lambda p: p, "cannot open"),
    "folder": ("head", lambda p: p.parent, "cannot open"),
    "text": ("mask", lambda p: broken(p, b"<html>404 Not Found</html>"), "cannot open"),
    "empty": ("pose", lambda p: broken(p, b""), "cannot open"),
    "cut": ("pose", lambda p: broken(p, whenet(p).read_bytes()[:900]), "cannot open"),
    "weights": ("pose", outside_weights, "weights.bin"),
    "detector-as-pose": ("pose", lambda p: yolo(p, 8), "640 pixels; pose networks take 224"),
    "6d-as-whenet": ("pose", lambda p: sixd(p, np.eye(3), np.eye(3)), "outputs of 9 numbers.*--pose-kind"),
    "three-angles": (
        "pose",
        lambda p: constant_output(p, [1, 3, 224, 224], np.zeros((1, 3))),
        "without post-processing",
    ),
    "256-pixels": ("pose", lambda p: whenet(p, shape=[1, 3, 256, 256]), "256 pixels"),
    "half": ("pose", lambda p: constant_output(p, [1, 3, 224, 224], np.zeros(9), 10), "32-bit"),
    "bytes": ("mask", lambda p: constant_output(p, [1, 320, 320, 3], np.zeros(9), 2), "32-bit"),
    "pose-as-detector": ("head", whenet, "not that of YOLO"),
    "mask-as-detector": ("head", u2net, "not that of YOLO"),
    "last-as-detector": ("head", lambda p: whenet(p, keras=True), "channels last"),
    "suppressed": (
        "head",
        lambda p: constant_output(p, [1, 3, 640, 640], np.zeros((1, 300, 6))),
        "without non-maximum suppression",
    ),
    "oblong": ("head", lambda p: constant_output(p, [1, 3, 480, 640], np.zeros((1, 5, 9))), "square"),
    "grey": ("mask", lambda p: constant_output(p, [1, 1, 320, 320], np.zeros((1, 1, 320, 320))), "1 x 3 x size"),
    "pose-as-mask": ("mask", whenet, "1 x 120, not one mask"),
    "two-classes": ("mask", lambda p: constant_output(p, [1, 3, 320, 320], np.zeros((1, 2, 64, 64))), "not one mask"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_files_are_told_in_one_sentence(name: str, tmp_path: Path) -> None:
    role, build, reason = WRONG[name]
    path = build(tmp_path / "wrong.onnx")
    with pytest.raises(PanoHeadError, match=reason) as caught:
        check_models(PrepareSettings(out=tmp_path / "out", **{f"{role}_model": path}))
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400
