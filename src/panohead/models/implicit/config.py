"""Configuration of implicit fields, stored as JSON in the checkpoint with that of the generator."""

from dataclasses import dataclass
from typing import Annotated, Literal

from panohead.limits import NumberRange
from panohead.system.bounds import Bounded, NotNegative, Width

ImplicitKind = Literal["siren", "graf", "sdf"]
Octaves = Annotated[int, NumberRange(0, 24)]


@dataclass(frozen=True, kw_only=True)
class ImplicitFieldConfig(Bounded):
    """Configuration of a field that a network evaluates at every point. The defaults are pi-GAN's.

    Attributes:
        kind: "siren" (pi-GAN), "graf" (GRAF) or "sdf" (StyleSDF).
        width: hidden units of every layer.
        layers: layers before density; one more makes the color.
        view_dependent: give the ray's direction to the color layer.
        frequency: omega_0 of the sine layers (SIREN section 3.2), with points in [-1, 1]; not for "graf".
        modulation: standard deviation by which heads change the frequencies, as a share of them, at initialization.
        density_gain: factor of the output of the density layer, per world unit; not for "sdf".
        position_octaves, direction_octaves: octaves of the positional encodings of point and direction; "graf" alone.
        sphere_radius: radius of the sphere that an untrained "sdf" is, with the box in [-1, 1].
        initial_beta: width of the transition of density at the start, in the same unit; "sdf" alone.
    """

    kind: ImplicitKind = "siren"
    width: Width = 256
    layers: Annotated[int, NumberRange(1, 32)] = 8
    view_dependent: bool = True
    frequency: Annotated[float, NumberRange(1e-3, 1e3)] = 30.0
    modulation: NotNegative = 0.25
    density_gain: Annotated[float, NumberRange(1e-6, 1e6)] = 10.0
    position_octaves: Octaves = 10
    direction_octaves: Octaves = 4
    sphere_radius: Annotated[float, NumberRange(1e-3, 1e3)] = 0.5
    initial_beta: Annotated[float, NumberRange(1e-4, 10)] = 0.1
