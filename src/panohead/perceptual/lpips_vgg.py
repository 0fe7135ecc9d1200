"""LPIPS on VGG16 (Zhang et al. 2018) as a feature vector, from weights that the user has on disk.

The squared distance of two vectors is the LPIPS distance of the images: at five layers the features are normalized
over channels, multiplied by the root of the learned weight of their channel, and averaged over the image.
"""

import pickle
from collections.abc import Mapping
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from panohead.errors import PanoHeadError
from panohead.files.archive import check_torch_file
from panohead.files.file_kind import kind_of
from panohead.files.regular import MAX_WEIGHTS_BYTES

_STAGES = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))  # channels and convolutions between poolings
# LPIPS's normalization of images in [-1, 1]: ImageNet's mean and deviation, to two or three digits.
_SHIFT = (-0.030, -0.088, -0.188)
_SCALE = (0.458, 0.448, 0.450)


class LpipsVgg(nn.Module):
    """Network from images in 0..255 to LPIPS vectors."""

    shift: Tensor
    scale: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.stages = nn.ModuleList()
        channels = 3
        for width, count in _STAGES:
            stage = nn.ModuleList()
            for _ in range(count):
                stage.append(nn.Conv2d(channels, width, 3, padding=1))
                channels = width
            self.stages.append(stage)
        self.weights = nn.ParameterList([nn.Parameter(torch.ones(width)) for width, _ in _STAGES])
        self.register_buffer("shift", torch.tensor(_SHIFT)[:, None, None], persistent=False)
        self.register_buffer("scale", torch.tensor(_SCALE)[:, None, None], persistent=False)

    def forward(self, image: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch feature"]:
        """Return one vector per image."""
        x = (image / 127.5 - 1 - self.shift) / self.scale
        parts = []
        for i, stage in enumerate(self.stages):
            if i > 0:
                x = F.max_pool2d(x, 2)
            assert isinstance(stage, nn.ModuleList)
            for layer in stage:
                x = F.relu(layer(x))
            # Unit length over channels at every pixel; the root of weight / area, so that squares add up to the mean.
            unit = x * torch.rsqrt(x.square().sum(dim=1, keepdim=True) + 1e-10)
            area = x.shape[-2] * x.shape[-1]
            parts.append((unit * self.weights[i].clamp_min(0).sqrt()[:, None, None]).flatten(1) / area**0.5)
        return torch.cat(parts, dim=1)


def load_lpips_vgg(path: Path) -> LpipsVgg:
    """Return the network with weights from one ``.safetensors`` or ``.pth`` file; nothing in it is executed.

    It holds VGG16's convolutions under torchvision's names ("features.0.weight", ...) and LPIPS's linear layers
    ("lin0.model.1.weight", ...).

    Raises:
        PanoHeadError: when there is no such file, or it holds other weights.
    """
    state = _read(path)
    network = LpipsVgg()
    index = 0
    try:
        with torch.no_grad():
            for i, stage in enumerate(network.stages):
                assert isinstance(stage, nn.ModuleList)
                for layer in stage:
                    assert isinstance(layer, nn.Conv2d)
                    assert layer.bias is not None
                    layer.weight.copy_(state[f"features.{index}.weight"])
                    layer.bias.copy_(state[f"features.{index}.bias"])
                    index += 2
                index += 1
                network.weights[i].copy_(state[f"lin{i}.model.1.weight"].reshape(-1))
    except (KeyError, RuntimeError) as error:
        raise PanoHeadError(
            f"{path} does not hold VGG16 under torchvision's names and LPIPS's lin0..lin4 "
            f"({error}); put both into one file"
        ) from error
    return network.eval().requires_grad_(False)


def _read(path: Path) -> Mapping[str, Tensor]:
    if not path.is_file():
        raise PanoHeadError(f"there are no LPIPS weights {path}; leave --lpips out for the loss without weights")
    try:
        check_torch_file(path, MAX_WEIGHTS_BYTES)
        if path.suffix == ".safetensors":
            return load_file(path)
        state: Mapping[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
        return state
    except (SafetensorError, OSError, RuntimeError, pickle.UnpicklingError, EOFError) as error:
        kind = kind_of(path)
        remedy = kind.remedy or "give a .safetensors or torch.save file of VGG16 and LPIPS"
        raise PanoHeadError(f"{path} is not a readable file of weights: it is {kind.what}; {remedy}") from error
