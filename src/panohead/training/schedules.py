"""What changes while training: pure functions of the images seen so far (facts section 5).

``nimg`` counts real images shown to the discriminator since the start of training, ``kimg`` thousands of them. The
values travel to the losses as one :class:`Scheduled`; nothing is written into a config or a network.
"""

from dataclasses import dataclass

BLUR_FADE_KIMG_AT_BATCH_32 = 200.0


@dataclass(frozen=True)
class Scheduled:
    """The values of one training step.

    Attributes:
        blur_sigma: of the blur on every image the discriminator sees, in pixels of that image; 0 for none.
        density_noise: standard deviation of the noise on every rendered density.
        pose_swap_probability: that a head is conditioned on another sample's camera; None hides the camera altogether.
        neural_resolution: rays per side of the raw picture.
    """

    blur_sigma: float
    density_noise: float
    pose_swap_probability: float | None
    neural_resolution: int


@dataclass(frozen=True, kw_only=True)
class ScheduleConfig:
    """How the values of :class:`Scheduled` move. The defaults are the official first stage at batch 32.

    Attributes:
        blur_init_sigma: at the start, pixels. A resumed run of the original uses 0.
        blur_fade_kimg: until the blur is gone; :func:`blur_fade_kimg` gives the original's for another batch.
        density_noise_fade_kimg: until the density noise is gone; 0 for no noise at all.
        pose_swap_probability: what the swap probability falls to from 1 (facts: gpc_reg_prob); None hides the camera.
        pose_swap_fade_kimg: until it gets there; 0 for at once.
        neural_resolution_initial, neural_resolution_final: rays per side; None as final keeps the initial one.
        neural_resolution_fade_kimg: until the final resolution is reached.
    """

    blur_init_sigma: float = 10.0
    blur_fade_kimg: float = BLUR_FADE_KIMG_AT_BATCH_32
    density_noise_fade_kimg: float = 200.0
    pose_swap_probability: float | None = 0.7
    pose_swap_fade_kimg: float = 1000.0
    neural_resolution_initial: int = 64
    neural_resolution_final: int | None = None
    neural_resolution_fade_kimg: float = 1000.0

    def at(self, nimg: float) -> Scheduled:
        """The values after ``nimg`` images."""
        return Scheduled(
            blur_sigma=self.blur_init_sigma * (1 - progress(nimg, self.blur_fade_kimg)),
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
    """How much of a fade is over: 0 at the start, 1 after ``fade_kimg`` thousand images, 1 at once for a fade of 0."""
    return min(nimg / (fade_kimg * 1e3), 1.0) if fade_kimg > 0 else 1.0


def blur_fade_kimg(batch: int) -> float:
    """How long the original blurs: 200 kimg at a batch of 32, in proportion to the batch."""
    return BLUR_FADE_KIMG_AT_BATCH_32 * batch / 32


def pose_swap_probability(nimg: float, *, final: float | None, fade_kimg: float) -> float | None:
    """From 1 (a head never knows its camera) to ``final``, linearly; None stays None."""
    if final is None:
        return None
    alpha = progress(nimg, fade_kimg)
    return (1 - alpha) + alpha * final


def neural_resolution(nimg: float, *, initial: int, final: int | None, fade_kimg: float) -> int:
    """Rays per side, from ``initial`` to ``final``, rounded half to even."""
    if final is None:
        return initial
    alpha = progress(nimg, fade_kimg)
    return round(initial * (1 - alpha) + final * alpha)
