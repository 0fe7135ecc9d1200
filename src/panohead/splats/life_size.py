"""Splats in meters, with unit quaternions: what files hold."""

import math
from dataclasses import replace

import torch

from panohead.mesh.trimesh_object import METERS_PER_WORLD_UNIT
from panohead.splats.cloud import SplatCloud


def life_size(cloud: SplatCloud) -> SplatCloud:
    """Return the splats in meters, on the CPU, quaternions of length 1 with w >= 0."""
    cpu = replace(cloud.detach(), **{name: value.detach().cpu().float() for name, value in vars(cloud).items()})
    quaternions = torch.nn.functional.normalize(cpu.quaternions, dim=1)
    return replace(
        cpu,
        means=cpu.means * METERS_PER_WORLD_UNIT,
        log_scales=cpu.log_scales + math.log(METERS_PER_WORLD_UNIT),
        quaternions=torch.where(quaternions[:, :1] < 0, -quaternions, quaternions),
    )
