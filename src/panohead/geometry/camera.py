"""The camera, and every convention about it (docs/reference.md 1).

* World: right-handed, y up, the face looks toward +z. One world unit is about 0.41 m (chin to crown 0.56 units).
* Camera axes are OpenCV's: x right, y down, z forward. ``cam2world`` maps camera to world coordinates.
* Intrinsics are divided by the image size: focal 4.2647, principal point 0.5.
* ``yaw_deg``: 0 is the front, positive has the camera on the +x side, 180 is the back.
  ``pitch_deg``: positive has the camera above the head. It is aimed at the world origin from a sphere of radius 2.7.
* A *label* is the 25 numbers by which the networks are conditioned: 16 of ``cam2world`` and 9 of ``intrinsics``,
  row-major. Only :meth:`Camera.to_label` and :meth:`Camera.from_label` cross that bridge.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from panohead.errors import UsageError
from panohead.limits import CAMERA_RADIUS, CAMERA_TARGET, FOCAL_LENGTH, PITCH_DEG, YAW_DEG

FOCAL = 4.2647
"""Focal length of the official crop, in image sizes (a field of view of 13.4 degrees)."""

RADIUS = 2.7
"""Distance of the official cameras from the world origin, in world units."""

_OPENCV_TO_OPENGL = (1.0, -1.0, -1.0, 1.0)


@dataclass(frozen=True)
class Camera:
    """A pinhole camera or a batch of them (any leading dimensions, the same on both fields).

    Attributes:
        cam2world: rigid motion from camera axes (OpenCV) to world axes, world units.
        intrinsics: focal lengths and principal point, divided by the image size.

    Raises:
        UsageError: for fields that are no tensors of these shapes. Their values are checked where one camera is used
            (:func:`panohead.geometry.single_camera`): reading a batch from a GPU would wait for it.
    """

    cam2world: Float[Tensor, "*batch 4 4"]
    intrinsics: Float[Tensor, "*batch 3 3"]

    def __post_init__(self) -> None:
        for name, side in (("cam2world", 4), ("intrinsics", 3)):
            value = getattr(self, name)
            if not isinstance(value, Tensor) or value.shape[-2:] != (side, side):
                found = f"shape {tuple(value.shape)}" if isinstance(value, Tensor) else f"type {type(value).__name__}"
                raise UsageError(f"the {name} of a camera has {found}; give a tensor of shape {side} x {side}")
        if self.cam2world.shape[:-2] != self.intrinsics.shape[:-2]:
            shapes = f"{tuple(self.cam2world.shape)} and {tuple(self.intrinsics.shape)}"
            raise UsageError(f"cam2world and intrinsics have shapes {shapes}; give as many of one as of the other")

    @staticmethod
    def orbit(
        yaw_deg: float = 0.0,
        pitch_deg: float = 0.0,
        *,
        radius: float = RADIUS,
        target: Sequence[float] = (0.0, 0.0, 0.0),
        focal: float = FOCAL,
        device: torch.device | str = "cpu",
    ) -> "Camera":
        """Return one camera on a sphere around ``target``, aimed at it.

        Args:
            yaw_deg: degrees; 0 is the front, positive toward +x, 180 the back.
            pitch_deg: degrees, -90 to 90; positive is above the head.
            radius, target: world units; the radius is above 0.
            focal: in image sizes, above 0.

        Raises:
            UsageError: for numbers that are not finite, or outside the ranges of :mod:`panohead.limits`.
        """
        radius, focal = CAMERA_RADIUS.real(radius, "radius"), FOCAL_LENGTH.real(focal, "focal")
        target = _target(target)
        yaw = math.radians(YAW_DEG.real(yaw_deg, "yaw_deg"))
        pitch = math.radians(PITCH_DEG.real(pitch_deg, "pitch_deg"))
        direction = (math.cos(pitch) * math.sin(yaw), math.sin(pitch), math.cos(pitch) * math.cos(yaw))
        # The tangent toward the pole is up: unlike the world's y axis it is never parallel to the viewing direction.
        north = (-math.sin(pitch) * math.sin(yaw), math.cos(pitch), -math.sin(pitch) * math.cos(yaw))
        position = torch.tensor([t + radius * d for t, d in zip(target, direction, strict=True)], device=device)
        cam2world = pose_looking(position, -torch.tensor(direction, device=device), torch.tensor(north, device=device))
        return Camera(cam2world, default_intrinsics(focal, device))

    @staticmethod
    def look_at(
        position: Float[Tensor, "*batch 3"], target: Float[Tensor, "*batch 3"], *, focal: float = FOCAL
    ) -> "Camera":
        """Return cameras at ``position`` aimed at ``target`` with the world's y axis up (world units).

        Raises:
            UsageError: when the focal length is outside :data:`panohead.limits.FOCAL_LENGTH`.
        """
        focal = FOCAL_LENGTH.real(focal, "focal")
        cam2world = pose_looking(position, target - position)
        return Camera(cam2world, default_intrinsics(focal, position.device).expand(*position.shape[:-1], 3, 3))

    @staticmethod
    def from_label(label: Float[Tensor, "*batch 25"]) -> "Camera":
        """Return the camera of a 25-number conditioning label (docs/reference.md 1.1).

        Raises:
            UsageError: when it is no tensor of 25 numbers.
        """
        if not isinstance(label, Tensor) or label.shape[-1:] != (25,):
            found = f"shape {tuple(label.shape)}" if isinstance(label, Tensor) else f"type {type(label).__name__}"
            raise UsageError(f"a label of {found} is not a camera's; give a tensor of 25 numbers")
        return Camera(label[..., :16].unflatten(-1, (4, 4)), label[..., 16:25].unflatten(-1, (3, 3)))

    def to_label(self) -> Float[Tensor, "*batch 25"]:
        """Return the 25-number conditioning label of this camera (docs/reference.md 1.1)."""
        return torch.cat([self.cam2world.flatten(-2), self.intrinsics.flatten(-2)], dim=-1)

    @property
    def position(self) -> Float[Tensor, "*batch 3"]:
        """Camera center in world units."""
        return self.cam2world[..., :3, 3]

    def translated(self, offset: Float[Tensor, "*batch 3"]) -> "Camera":
        """Return the camera displaced by ``offset`` (world units), of the same orientation (PanoHead section 3.4)."""
        return Camera.from_label(translate_label(self.to_label(), offset))

    def mirrored(self) -> "Camera":
        """Return the camera whose image of the mirrored world is the flipped image (docs/reference.md 1.7)."""
        signs = torch.tensor([-1.0, 1.0, 1.0, 1.0], device=self.cam2world.device, dtype=self.cam2world.dtype)
        return Camera(signs[:, None] * self.cam2world * signs, self.intrinsics)

    def angles_deg(self) -> Float[Tensor, "*batch 3"]:
        """Return yaw, pitch and roll in degrees, as the official dataset filter reads them (docs/reference.md 1.6).

        At the front a camera above the head has positive pitch, behind the head negative. Matches the official code,
        whose filters and metrics use these angles: near a yaw of +-90 pitch is badly conditioned (70 degrees for a
        mild elevation).
        """
        return _official_angles_deg(self.cam2world)

    def expand(self, batch: int) -> "Camera":
        """Return ``batch`` equal cameras from one camera without batch dimensions or with one of size 1."""
        return Camera(
            self.cam2world.reshape(1, 4, 4).expand(batch, 4, 4), self.intrinsics.reshape(1, 3, 3).expand(batch, 3, 3)
        )

    def to(self, device: torch.device | str) -> "Camera":
        """Return the same camera on another device; copying it to a GPU does not wait for the GPU."""
        # From a GPU the numbers must have arrived before they are read; toward it the order of its work suffices.
        queued = torch.device(device).type != "cpu"
        return Camera(self.cam2world.to(device, non_blocking=queued), self.intrinsics.to(device, non_blocking=queued))


def _target(target: Sequence[float]) -> list[float]:
    """Return the three coordinates of a target as floats."""
    try:
        coordinates = list(target)
    except TypeError:
        coordinates = []
    if isinstance(target, str) or len(coordinates) != 3:
        raise UsageError(f"target is {target!r}; give three numbers in world units, such as (0, 0, 0)")
    return [CAMERA_TARGET.real(value, "a coordinate of target") for value in coordinates]


def translate_label(label: Float[Tensor, "*batch 25"], offset: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 25"]:
    """Return conditioning labels with ``offset`` (world units) added to the translation, their entries 3, 7 and 11."""
    moved = label.clone()
    moved[..., 3:12:4] += offset
    return moved


def default_intrinsics(focal: float = FOCAL, device: torch.device | str = "cpu") -> Float[Tensor, "3 3"]:
    """Return intrinsics with the principal point in the image center, divided by the image size."""
    return torch.tensor([[focal, 0.0, 0.5], [0.0, focal, 0.5], [0.0, 0.0, 1.0]], device=device)


def focal_from_official_fov(fov_deg: float) -> float:
    """Return the focal length of the official tools' "FOV" in degrees (docs/reference.md 1.4).

    Matches the official code: the angle is diagonal, and pi and sqrt 2 are rounded.
    """
    return 1.0 / (math.tan(fov_deg * 3.14159 / 360.0) * 1.414)


def pose_looking(
    position: Float[Tensor, "*batch 3"],
    direction: Float[Tensor, "*batch 3"],
    up: Float[Tensor, "*batch 3"] | None = None,
) -> Float[Tensor, "*batch 4 4"]:
    """Return cam2world at ``position`` aimed along ``direction``, with ``up`` (None: the world's y axis) up."""
    forward = torch.nn.functional.normalize(direction, dim=-1)
    if up is None:
        up = torch.zeros_like(forward)
        up[..., 1] = 1.0
        # Along y the world's y axis does not define the roll; then the back of the head is up.
        vertical = forward[..., ::2].norm(dim=-1, keepdim=True) < 1e-6  # x and z
        up = torch.where(vertical, up.new_tensor([0.0, 0.0, -1.0]), up)
    right = -torch.nn.functional.normalize(torch.linalg.cross(up, forward), dim=-1)
    down = torch.nn.functional.normalize(torch.linalg.cross(forward, right), dim=-1)
    # Columns: x right, y down, z forward, center (OpenCV).
    upper = torch.stack([right, down, forward, position], dim=-1)
    lower = torch.tensor([0.0, 0.0, 0.0, 1.0], device=upper.device, dtype=upper.dtype)
    return torch.cat([upper, lower.expand(*upper.shape[:-2], 1, 4)], dim=-2)


def _official_angles_deg(cam2world: Float[Tensor, "*batch 4 4"]) -> Float[Tensor, "*batch 3"]:
    """Return the angles of docs/reference.md 1.6, computed in float64."""
    matrix = cam2world.double() * torch.tensor(_OPENCV_TO_OPENGL, device=cam2world.device, dtype=torch.float64)
    q = torch.linalg.inv(matrix)[..., :3, :3]
    sine = q[..., 2, 0]
    side = sine.abs() > 0.998  # the arcsine's singularity: there only the sum of pitch and roll is defined
    yaw = torch.where(side, torch.sign(sine) * (math.pi / 2), torch.asin(sine.clamp(-1, 1)))
    pitch = torch.where(
        side,
        torch.atan2(-torch.sign(sine) * q[..., 0, 1], -torch.sign(sine) * q[..., 0, 2]),
        torch.atan2(q[..., 2, 1] / torch.cos(yaw), q[..., 2, 2] / torch.cos(yaw)),
    )
    # Beyond the side the arcsine folds the angle back; unfold it to the full circle and read the rest again.
    unfolded = torch.where(yaw > 0, math.pi - yaw, -math.pi - yaw)
    yaw = torch.where(pitch.abs() > math.pi / 2, unfolded, yaw)
    cos = torch.cos(yaw)
    pitch = torch.atan2(q[..., 2, 1] / cos, q[..., 2, 2] / cos)
    roll = torch.atan2(q[..., 1, 0] / cos, q[..., 0, 0] / cos)
    return torch.rad2deg(torch.stack([yaw, pitch, roll], dim=-1)).to(cam2world.dtype)


def angle_between_deg(a: Camera, b: Camera) -> float:
    """Return the angle of the rotation from one camera's axes to the other's, 0 to 180 degrees.

    Args:
        a, b: cameras without batch dimension.
    """
    # trace R = 1 + 2 cos(angle)
    cosine = ((a.cam2world[:3, :3].cpu() * b.cam2world[:3, :3].cpu()).sum() - 1) / 2
    return float(torch.rad2deg(torch.acos(cosine.clamp(-1, 1))))
