"""``panohead reconstruct`` with a short search, where the head that is found does not matter."""

import dataclasses
from typing import Any

from panohead.inversion.preset import InversionPreset

_configure = InversionPreset.configure


def configured_shortly(preset: InversionPreset[Any], **options: Any) -> Any:
    """Return what ``preset.configure`` does, with two starts and two steps at half the rays."""
    config = _configure(preset, **options)
    shorter = {"starts": 2, "coarse_steps": 2, "w_samples": 256}
    known = {field.name for field in dataclasses.fields(config)}
    return dataclasses.replace(config, **{name: value for name, value in shorter.items() if name in known})
