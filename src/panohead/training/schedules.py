"""Values that change during training, as pure functions of the images shown so far (docs/reference.md 5.2).

``nimg`` counts real images shown to the discriminator since the start of training, ``kimg`` thousands of them. The
values travel to the losses as one :class:`Scheduled`; nothing is written into a config or a network.
"""

import math
from dataclasses import dataclass
from typing import Annotated

from panohead.limits import NumberRange
from panohead.system.bounds import Bounded, NotNegative, Share, Side

BLUR_FADE_KIMG_AT_BATCH_32 = 200.0
"""Official duration of the blur at a batch of 32, thousands of images."""


@dataclass(frozen=True)
class Scheduled:
    """Scheduled values of one training step.

    Attributes:
        blur_sigma: scale of the blur on the discriminator's images, in pixels of each image; 0 for none.
        density_noise: standard deviation of the noise on every rendered density.
        pose_swap_probability: probability that a sample is conditioned on its neighbor's camera; None to condition on
            no camera at all.
        neural_resolution: rays per side of the raw image.
    """

    blur_sigma: float
    density_noise: float
    pose_swap_probability: float | None
    neural_resolution: int


@dataclass(frozen=True, kw_only=True)
class ScheduleConfig(Bounded):
    """Schedules of the values of :class:`Scheduled`. The defaults are the official first stage at batch 32.

    Attributes:
        blur_init_sigma: scale of the blur at the start, pixels. A resumed run of the original uses 0.
        blur_fade_kimg: duration of the blur; :func:`blur_fade_kimg` gives the original's for another batch.
        density_noise_fade_kimg: duration of the density noise; 0 for no noise at all.
        pose_swap_probability: final value of the swap probability, which falls from 1 (official: gpc_reg_prob); None to
            condition on no camera.
        pose_swap_fade_kimg: duration of that fall; 0 for the final value at once.
        neural_resolution_initial, neural_resolution_final: rays per side; None as final keeps the initial one.
        neural_resolution_fade_kimg: duration of the change of resolution.
    """

    blur_init_sigma: Annotated[float, NumberRange(0, 100)] = 10.0
    blur_fade_kimg: NotNegative = BLUR_FADE_KIMG_AT_BATCH_32
    density_noise_fade_kimg: NotNegative = 200.0
    pose_swap_probability: Share | None = 0.7
    pose_swap_fade_kimg: NotNegative = 1000.0
    neural_resolution_initial: Side = 64
    neural_resolution_final: Side | None = None
    neural_resolution_fade_kimg: NotNegative = 1000.0

    def at(self, nimg: float) -> Scheduled:
        """Return the values after ``nimg`` images."""
        return Scheduled(
            blur_sigma=self.blur_init_sigma * (1 - progress(nimg, self.blur_fade_kimg)),
            # Standard deviation 1 at the start (docs/reference.md 3.6).
            density_noise=1 - progress(nimg, self.density_noise_fade_kimg),
            pose_swap_probability=pose_swap_probability(
                nimg, final=self.pose_swap_probability, fade_kimg=self.pose_swap_fade_kimg
            ),
            neural_resolution=neural_resolution(
                nimg,
                initial=self.neural_resolution_initial,
                final=self.neural_resolution_final,
                fade_kimg=self.neural_resolution_fade_kimg,
            ),
        )


def progress(nimg: float, fade_kimg: float) -> float:
    """Return the elapsed fraction of a fade: 0 at the start, 1 after ``fade_kimg`` thousand images; 1 for no fade."""
    return min(nimg / (fade_kimg * 1e3), 1.0) if fade_kimg > 0 else 1.0


def blur_fade_kimg(batch: int) -> float:
    """Return the official duration of the blur: 200 kimg at a batch of 32, in proportion to the batch."""
    return BLUR_FADE_KIMG_AT_BATCH_32 * batch / 32


def pose_swap_probability(nimg: float, *, final: float | None, fade_kimg: float) -> float | None:
    """Return the swap probability: linear from 1 (never its own camera) to ``final``; None stays None.

    Args:
        nimg: images shown so far.
        final: value at the end of the fade, [0, 1]; None to condition on no camera.
        fade_kimg: duration of the fade, thousands of images.
    """
    if final is None:
        return None
    # 1 at the start: no sample is conditioned on its own camera.
    alpha = progress(nimg, fade_kimg)
    return (1 - alpha) + alpha * final


def neural_resolution(nimg: float, *, initial: int, final: int | None, fade_kimg: float) -> int:
    """Return the rays per side: linear from ``initial`` to ``final``, rounded half to even.

    Args:
        nimg: images shown so far.
        initial, final: rays per side at the start and at the end of the change; None keeps the initial value.
        fade_kimg: duration of the change, thousands of images.
    """
    if final is None:
        return initial
    alpha = progress(nimg, fade_kimg)
    return round(initial * (1 - alpha) + final * alpha)


def warm_cosine(step: int, steps: int, warmup: float) -> float:
    """Return a learning rate's factor: a linear rise over a share ``warmup`` of the steps, times half a cosine to 0."""
    return min(1.0, (step + 1) / max(1.0, warmup * steps)) * (0.5 + 0.5 * math.cos(math.pi * step / steps))
