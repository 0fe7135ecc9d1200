"""The Inception-v3 of 2015 by which FID, KID, IS and precision/recall are defined (docs/reference.md 7.2).

The definition is written for the weight file of torch-fidelity (converted from TensorFlow's graph, Apache-2.0), whose
names it uses. It is here because torch-fidelity itself cannot be imported without torchvision; with the same weights
the features are the same (see the tests).
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from panohead.errors import PanoHeadError
from panohead.files.archive import check_torch_file
from panohead.files.file_kind import kind_of
from panohead.files.regular import MAX_WEIGHTS_BYTES

WEIGHTS_FILE = "weights-inception-2015-12-05-6726825d.pth"
WEIGHTS_URL = f"https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/{WEIGHTS_FILE}"
INPUT_SIZE = 299
CLASSES = 1008

Pool = Callable[[Tensor], Tensor]
ConvolutionSpec = tuple[str, int, tuple[int, int], int, tuple[int, int]]
"""A convolution: name, output channels, kernel, stride, padding."""


class Inception(nn.Module):
    """Network from images (0..255) to 2,048 pooled features and 1,008 logits without bias."""

    def __init__(self) -> None:
        super().__init__()
        self.Conv2d_1a_3x3 = _Conv(3, 32, (3, 3), 2)
        self.Conv2d_2a_3x3 = _Conv(32, 32, (3, 3))
        self.Conv2d_2b_3x3 = _Conv(32, 64, (3, 3), 1, (1, 1))
        self.Conv2d_3b_1x1 = _Conv(64, 80, (1, 1))
        self.Conv2d_4a_3x3 = _Conv(80, 192, (3, 3))
        self.Mixed_5b, self.Mixed_5c, self.Mixed_5d = _wide(192, 32), _wide(256, 64), _wide(288, 64)
        self.Mixed_6a = _reduction_35()
        self.Mixed_6b, self.Mixed_6c, self.Mixed_6d, self.Mixed_6e = (_long(width) for width in (128, 160, 160, 192))
        self.Mixed_7a = _reduction_17()
        self.Mixed_7b, self.Mixed_7c = _forked(1280, _average), _forked(2048, _largest)
        self.fc = nn.Linear(2048, CLASSES)

    def forward(
        self, images: UInt8[Tensor, "batch 3 height width"]
    ) -> tuple[Float[Tensor, "batch 2048"], Float[Tensor, "batch 1008"]]:
        """Return features and logits."""
        # The graph's own resizing and normalization to about [-1, 1]: batch 3 299 299.
        x = (_resize_as_tensorflow(images.float(), INPUT_SIZE) - 128) / 128
        x = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(x)))
        x = F.max_pool2d(x, 3, 2)
        x = F.max_pool2d(self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(x)), 3, 2)
        for name in ("5b", "5c", "5d", "6a", "6b", "6c", "6d", "6e", "7a", "7b", "7c"):
            x = getattr(self, f"Mixed_{name}")(x)
        features = x.mean(dim=(2, 3))  # batch 2048 8 8 -> batch 2048
        return features, features @ self.fc.weight.T


def load_inception(weights: Path | None, device: torch.device | str = "cpu") -> Inception:
    """Return the network with the weights of ``weights``, or of torch-fidelity's download in PyTorch's hub folder.

    Raises:
        PanoHeadError: when there is no such file, or it holds other weights.
    """
    path = weights if weights is not None else Path(torch.hub.get_dir()) / "checkpoints" / WEIGHTS_FILE
    if not path.is_file():
        raise PanoHeadError(
            f"there are no Inception weights at {path}; download {WEIGHTS_URL} and name the file with "
            "--inception-weights"
        )
    network = Inception().eval().requires_grad_(False)
    try:
        check_torch_file(path, MAX_WEIGHTS_BYTES)
        network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    except Exception as error:
        kind = kind_of(path)
        found = str(error).splitlines()[0] if kind.name == "torch" else f"it is {kind.what}"
        raise PanoHeadError(
            f"{path} does not hold the Inception weights of torch-fidelity ({found}); {kind.remedy or 'download'}"
            f"{'' if kind.remedy else ' ' + WEIGHTS_URL}"
        ) from error
    return network.to(device)


class _Conv(nn.Module):
    def __init__(
        self, inputs: int, outputs: int, kernel: tuple[int, int], stride: int = 1, padding: tuple[int, int] = (0, 0)
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(outputs, eps=0.001)

    def forward(self, x: Float[Tensor, "batch inputs height width"]) -> Tensor:
        return F.relu(self.bn(self.conv(x)))


class _Mixed(nn.Module):
    """Branches of convolutions side by side. A branch's last entry may be a list: then its members share the input."""

    def __init__(self, inputs: int, branches: list[list[Any]], pool: Pool, pooled: str | None = None) -> None:
        super().__init__()
        self._branches = [
            [[part[0] for part in step] if isinstance(step, list) else step[0] for step in b] for b in branches
        ]
        self._pool, self._pooled = pool, pooled
        for branch in branches:
            width = inputs
            for step in branch:
                for name, outputs, *shape in step if isinstance(step, list) else [step]:
                    self.add_module(name, _Conv(width, outputs, *shape))
                width = step[1] if isinstance(step, tuple) else width

    def forward(self, x: Float[Tensor, "batch inputs height width"]) -> Tensor:
        outputs = []
        for branch in self._branches:
            y = x
            for step in branch:
                if isinstance(step, list):
                    y = torch.cat([getattr(self, name)(y) for name in step], dim=1)
                else:
                    y = getattr(self, step)(y)
            outputs.append(y)
        pooled = self._pool(x)
        # The pooled branch stands last, with or without a convolution of its own.
        outputs.append(pooled if self._pooled is None else getattr(self, self._pooled)(pooled))
        return torch.cat(outputs, dim=1)


def _average(x: Tensor) -> Tensor:
    return F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)


def _largest(x: Tensor) -> Tensor:
    # Matches the original graph, and so every published FID: the maximum in the last block only.
    return F.max_pool2d(x, 3, 1, 1)


def _halving(x: Tensor) -> Tensor:
    return F.max_pool2d(x, 3, 2)


def _with_pool(block: _Mixed, inputs: int, outputs: int) -> _Mixed:
    block.add_module("branch_pool", _Conv(inputs, outputs, (1, 1)))
    return block


def _wide(inputs: int, pooled: int) -> _Mixed:
    """Inception block A, 35 x 35."""
    branches: list[list[Any]] = [
        [("branch1x1", 64, (1, 1))],
        [("branch5x5_1", 48, (1, 1)), ("branch5x5_2", 64, (5, 5), 1, (2, 2))],
        [
            ("branch3x3dbl_1", 64, (1, 1)),
            ("branch3x3dbl_2", 96, (3, 3), 1, (1, 1)),
            ("branch3x3dbl_3", 96, (3, 3), 1, (1, 1)),
        ],
    ]
    return _with_pool(_Mixed(inputs, branches, _average, "branch_pool"), inputs, pooled)


def _reduction_35() -> _Mixed:
    """Inception block B, 35 x 35 to 17 x 17."""
    branches: list[list[Any]] = [
        [("branch3x3", 384, (3, 3), 2)],
        [
            ("branch3x3dbl_1", 64, (1, 1)),
            ("branch3x3dbl_2", 96, (3, 3), 1, (1, 1)),
            ("branch3x3dbl_3", 96, (3, 3), 2),
        ],
    ]
    return _Mixed(288, branches, _halving)


def _long(width: int) -> _Mixed:
    """Inception block C, 17 x 17: 7 x 7 convolutions as rows and columns."""

    def row(name: str, outputs: int) -> Any:
        return name, outputs, (1, 7), 1, (0, 3)

    def column(name: str, outputs: int) -> Any:
        return name, outputs, (7, 1), 1, (3, 0)

    branches: list[list[Any]] = [
        [("branch1x1", 192, (1, 1))],
        [("branch7x7_1", width, (1, 1)), row("branch7x7_2", width), column("branch7x7_3", 192)],
        [
            ("branch7x7dbl_1", width, (1, 1)),
            column("branch7x7dbl_2", width),
            row("branch7x7dbl_3", width),
            column("branch7x7dbl_4", width),
            row("branch7x7dbl_5", 192),
        ],
    ]
    return _with_pool(_Mixed(768, branches, _average, "branch_pool"), 768, 192)


def _reduction_17() -> _Mixed:
    """Inception block D, 17 x 17 to 8 x 8."""
    branches: list[list[Any]] = [
        [("branch3x3_1", 192, (1, 1)), ("branch3x3_2", 320, (3, 3), 2)],
        [
            ("branch7x7x3_1", 192, (1, 1)),
            ("branch7x7x3_2", 192, (1, 7), 1, (0, 3)),
            ("branch7x7x3_3", 192, (7, 1), 1, (3, 0)),
            ("branch7x7x3_4", 192, (3, 3), 2),
        ],
    ]
    return _Mixed(768, branches, _halving)


def _forked(inputs: int, pool: Pool) -> _Mixed:
    """Inception block E, 8 x 8: convolutions whose row and column parts lie side by side."""

    def fork(name: str) -> list[Any]:
        return [(f"{name}a", 384, (1, 3), 1, (0, 1)), (f"{name}b", 384, (3, 1), 1, (1, 0))]

    branches: list[list[Any]] = [
        [("branch1x1", 320, (1, 1))],
        [("branch3x3_1", 384, (1, 1)), fork("branch3x3_2")],
        [("branch3x3dbl_1", 448, (1, 1)), ("branch3x3dbl_2", 384, (3, 3), 1, (1, 1)), fork("branch3x3dbl_3")],
    ]
    return _with_pool(_Mixed(inputs, branches, pool, "branch_pool"), inputs, 192)


def _resize_as_tensorflow(x: Float[Tensor, "batch 3 height width"], size: int) -> Float[Tensor, "batch 3 size size"]:
    """Resize bilinearly as TensorFlow 1: output pixel k samples k * input / size, without half-pixel centers."""
    for dim in (2, 3):
        length = x.shape[dim]
        position = torch.arange(size, device=x.device, dtype=torch.float32) * torch.tensor(length / size)
        below = position.long()
        above = (below + 1).clamp_max(length - 1)
        fraction = (position - below).view(-1, 1) if dim == 2 else position - below
        low, high = x.index_select(dim, below), x.index_select(dim, above)
        x = low + (high - low) * fraction
    return x
