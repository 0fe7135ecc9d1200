"""Devices on which reading a number waits."""

import torch


def reading_waits(device: torch.device) -> bool:
    """Return True for devices whose work is queued, so that reading a number waits for all of it: all but the CPU."""
    return device.type != "cpu"
