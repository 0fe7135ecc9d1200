"""Running means of losses and other values, accumulated without waiting for the device."""

from collections.abc import Mapping

import torch
from torch import Tensor


class RunningMeans:
    """Sums and counts by name. Values stay on their device until :meth:`take`."""

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, int] = {}

    def add(self, **values: Tensor | float) -> None:
        """Add one observation of each name; a tensor counts with its mean."""
        for name, value in values.items():
            # Everything here is enqueued on the device; only means() reads it.
            value = value.detach().float().mean() if isinstance(value, Tensor) else torch.tensor(float(value))
            self._sums[name] = self._sums[name] + value if name in self._sums else value
            self._counts[name] = self._counts.get(name, 0) + 1

    def means(self) -> Mapping[str, float]:
        """Return the means so far, by name; waits for the device, once for all names."""
        on_host = {name: total for name, total in self._sums.items() if total.device.type == "cpu"}
        on_device = {name: total for name, total in self._sums.items() if name not in on_host}
        totals = {name: float(total) for name, total in on_host.items()}
        if on_device:
            totals |= zip(on_device, torch.stack(list(on_device.values())).tolist(), strict=True)
        return {name: totals[name] / self._counts[name] for name in self._sums}

    def take(self) -> dict[str, float]:
        """Return the means so far and discard all observations."""
        means = dict(self.means())
        self._sums, self._counts = {}, {}
        return means
