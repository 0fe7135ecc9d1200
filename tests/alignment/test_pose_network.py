"""Pose networks: their outputs to angles."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from panohead.alignment.angles import (
    orbit_of_view,
    view_of_camera,
)
from panohead.alignment.pose_network import PoseModel, decode_6drepnet360, decode_whenet, expected_bin, open_network
from panohead.errors import PanoHeadError
from panohead.geometry.camera import Camera
from panohead.synthetic.views import PersonView


def whenet_outputs(yaw: float, pitch: float, roll: float) -> list[np.ndarray]:
    """Sharp bins about the angles, in PINTO's order yaw, roll, pitch."""

    def row(value: float, count: int, start: float) -> np.ndarray:
        bins = np.arange(count) - (value - start) / 3.0
        return -(bins**2)

    return [row(yaw, 120, -180.0)[None], row(roll, 66, -99.0)[None], row(pitch, 66, -99.0)[None]]


class FakeNetwork:
    """Answers every image alike and keeps its input."""

    def __init__(self, shape: list[Any], *outputs: np.ndarray) -> None:
        self.shape, self.outputs, self.received = shape, outputs, np.zeros(0)

    def get_inputs(self) -> list[Any]:
        return [SimpleNamespace(name="input", shape=self.shape)]

    def run(self, _names: Any, feed: dict[str, np.ndarray]) -> list[np.ndarray]:
        self.received = feed["input"]
        return list(self.outputs)


@pytest.mark.parametrize("yaw", [-150.0, -40.0, 75.0, 160.0])
@pytest.mark.parametrize("pitch", [-20.0, 15.0])
def test_networks_that_see_a_synthetic_head_give_its_camera(yaw: float, pitch: float) -> None:
    """Sign test: the outputs that the networks' conventions ask for on a render with this label."""
    label = torch.tensor(PersonView(yaw, pitch).label(4.2647))
    view = view_of_camera(Camera.from_label(label))
    np.testing.assert_allclose(orbit_of_view(decode_6drepnet360([view.T[None]])), (yaw, pitch, 0.0), atol=1e-3)
    outputs = whenet_outputs(yaw, -pitch, 0.0)
    np.testing.assert_allclose(orbit_of_view(decode_whenet(outputs)), (yaw, pitch, 0.0), atol=0.1)
    keras = [outputs[0], outputs[2], outputs[1]]
    np.testing.assert_allclose(orbit_of_view(decode_whenet(keras, "whenet-keras")), (yaw, pitch, 0.0), atol=0.1)


def test_probabilities_and_scores_are_told_apart() -> None:
    scores = np.array([0.0, 3.0, 1.0])
    soft = np.exp(scores) / np.exp(scores).sum()
    assert expected_bin(soft) == pytest.approx(expected_bin(scores))
    assert expected_bin(scores) == pytest.approx(float(np.sum(soft * [0, 1, 2])))


def test_foreign_networks_are_refused() -> None:
    with pytest.raises(PanoHeadError, match="120"):
        decode_whenet([np.zeros(10)] * 3)
    with pytest.raises(PanoHeadError, match="rotation matrix"):
        decode_6drepnet360([np.zeros((1, 6))])
    with pytest.raises(PanoHeadError, match="onnx"):
        open_network(Path("no.onnx"))


@pytest.mark.parametrize(
    ("shape", "received"), [([1, 3, 224, 224], (1, 3, 224, 224)), (["N", 224, 224, 3], (1, 224, 224, 3))]
)
def test_pose_model_feeds_either_layout(shape: list[Any], received: tuple[int, ...]) -> None:
    network = FakeNetwork(shape, *whenet_outputs(30.0, 0.0, 0.0))
    view = PoseModel(network, "whenet").view(np.full((50, 50, 3), 255, dtype=np.uint8))
    assert network.received.shape == (1, *shape[1:])
    assert network.received.max() == pytest.approx((1 - 0.406) / 0.225, rel=1e-3)
    assert orbit_of_view(view)[0] == pytest.approx(30.0, abs=0.1)
