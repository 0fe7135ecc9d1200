"""Adaptive augmentation probability, from the discriminator's overfitting (ADA, Karras et al. 2020, section 3)."""

from jaxtyping import Float
from torch import Tensor

from panohead.training.augmentation.config import AugmentConfig


class AdaptiveProbability:
    """The augmentation probability and the logits observed since it last changed.

    The paper's heuristic r_t is the mean sign of the discriminator's logits for photos (equation 1): near 0 the
    discriminator cannot tell them from generated heads, near 1 it has memorized them. Every ``config.interval`` steps
    the probability takes one step of fixed length toward the target (docs/reference.md 5.8)::

        p += sign(r_t - target) * batch * interval / (speed_kimg * 1000)

    With ``config.probability`` given, the probability is constant.
    """

    def __init__(self, config: AugmentConfig) -> None:
        self.config = config
        self.probability = 0.0 if config.probability is None else config.probability
        self._sign_sum: Tensor | float = 0.0
        self._count = 0.0

    def observe(self, logits: Float[Tensor, "batch 1"]) -> None:
        """Add the signs of the discriminator's logits for (augmented) photos; NaN counts as 0."""
        # The sum stays on the logits' device: reading it at every step would wait for the device.
        self._sign_sum = self._sign_sum + logits.detach().float().nan_to_num(nan=0.0).sign().sum()
        self._count += logits.numel()

    def sums(self) -> tuple[float, float]:
        """Return the sum of signs and the number of logits since the last update, of this rank alone."""
        return float(self._sign_sum), self._count

    def update(self, batch: int, sign_sum: float | None = None, count: float | None = None) -> float:
        """Change the probability by one step, every ``config.interval`` training steps, and discard the observations.

        Args:
            batch: photos per training step, over all ranks.
            sign_sum, count: :meth:`sums` over all ranks; None for this rank's own.

        Returns:
            The new probability; the old one if nothing was observed.
        """
        own_sum, own_count = self.sums()
        sign_sum, count = own_sum if sign_sum is None else sign_sum, own_count if count is None else count
        self._sign_sum, self._count = 0.0, 0.0
        if self.config.probability is None and count > 0:
            excess = sign_sum / count - self.config.target  # r_t minus its target
            step = batch * self.config.interval / (self.config.speed_kimg * 1000)
            # Only the sign of the excess counts: a step has a fixed length, the whole range takes speed_kimg.
            self.probability += step * ((excess > 0) - (excess < 0))
            self.probability = min(max(self.probability, 0.0), 1.0)
        return self.probability

    def state_dict(self) -> dict[str, float]:
        """Return probability and observations as plain numbers."""
        sign_sum, count = self.sums()
        return {"probability": self.probability, "sign_sum": sign_sum, "count": count}

    def load_state_dict(self, state: dict[str, float]) -> None:
        """Load what :meth:`state_dict` returned; a fixed ``config.probability`` keeps its value."""
        if self.config.probability is None:
            self.probability = state["probability"]
        self._sign_sum, self._count = state["sign_sum"], state["count"]
