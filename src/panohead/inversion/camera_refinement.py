"""Cameras that may move a little: yaw, pitch and translation beside the one that was estimated."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from panohead.geometry import Camera
from panohead.inversion.photo import AlignedPhoto

NUMBERS = 5
_SPREAD_DEG = {"given": 2.0, "face": 4.0, "angles": 8.0, "coarse": 12.0}
_SPREAD_WORLD = {"given": 0.02, "face": 0.04, "angles": 0.08, "coarse": 0.08}


class CameraRefinement:
    """Offsets of the photos' cameras, in spreads: an offset of 1 is as large as such a camera is usually wrong.

    ``offsets`` "photo 5" holds yaw, pitch (rotations of the camera about the world's centre) and the translation along
    the camera's axes (right, down, forward).
    """

    def __init__(self, photos: Sequence[AlignedPhoto], device: torch.device | str) -> None:
        self._cameras = [photo.camera.to(device) for photo in photos]
        spread = [[_SPREAD_DEG[p.kind]] * 2 + [_SPREAD_WORLD[p.kind]] * 3 for p in photos]
        self.spread = torch.tensor(spread, device=device)
        self.offsets = torch.zeros(len(photos), NUMBERS, device=device)

    def cameras(self) -> list[Camera]:
        """The cameras as moved, differentiable in ``offsets``."""
        return [moved(c, o) for c, o in zip(self._cameras, self.offsets * self.spread, strict=True)]

    def prior(self) -> Float[Tensor, ""]:
        """Mean squared offset, in spreads."""
        return self.offsets.square().mean()


def moved(camera: Camera, offset: Float[Tensor, " 5"]) -> Camera:
    """The camera turned about the world's centre by (yaw, pitch) in degrees, then moved along its own axes."""
    yaw, pitch = torch.deg2rad(offset[:2])
    up = torch.tensor([0.0, 1.0, 0.0], device=offset.device)
    turn = rotation(up, yaw) @ rotation(camera.cam2world[:3, 0], -pitch)
    axes = turn @ camera.cam2world[:3, :3]
    position = turn @ camera.cam2world[:3, 3] + axes @ offset[2:]
    upper = torch.cat([axes, position[:, None]], dim=1)
    return Camera(torch.cat([upper, camera.cam2world[3:]]), camera.intrinsics)


def rotation(axis: Float[Tensor, " 3"], angle: Float[Tensor, ""]) -> Float[Tensor, "3 3"]:
    """Rodrigues' rotation by ``angle`` radians about a unit axis."""
    zero = torch.zeros_like(axis[0])
    cross = torch.stack([zero, -axis[2], axis[1], axis[2], zero, -axis[0], -axis[1], axis[0], zero]).reshape(3, 3)
    return torch.eye(3, device=axis.device) + torch.sin(angle) * cross + (1 - torch.cos(angle)) * cross @ cross
