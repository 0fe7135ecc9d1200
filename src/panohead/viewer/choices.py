"""State of one visitor's tab as values: the head, the view and the pose that are to be shown. Nothing here renders."""

from dataclasses import dataclass

from panohead.attributes.named import Value
from panohead.errors import UsageError
from panohead.limits import COLOR_LEVEL, SEED, TRUNCATION_PSI, NumberRange

LAYERS = ("image", "depth", "mask", "normals", "mesh")
"""Layers of a view: the image, or what else it has."""
BACKDROPS = ("generated", "checker", "color", "photo")
"""Backgrounds: the model's own, the pattern of transparency, a color, a photo."""

BLEND = NumberRange(0, 1)
"""Position between the first head and the second."""
ZOOM = NumberRange(0.5, 4)
"""Focal length over the official one."""
CANVAS_SIDE = NumberRange(1, 16_384, "pixels")


@dataclass(frozen=True, kw_only=True)
class HeadChoice:
    """Head that is shown.

    Attributes:
        saved: key of a saved head or reconstruction, which then takes the place of the first seed; "" for none.
        seed: seed of the first head.
        truncation_psi: truncation of both heads.
        second_seed: seed of the second head.
        blend: 0 for the first head, 1 for the second, between them a straight line in w.
        mixed_rows: first and last row of ws that are taken from the second head; None for none.
        attributes: name and value of every attribute that was set, in the order of setting.

    Raises:
        UsageError: for numbers out of range.
    """

    saved: str = ""
    seed: int = 0
    truncation_psi: float = 0.7
    second_seed: int = 1
    blend: float = 0.0
    mixed_rows: tuple[int, int] | None = None
    attributes: tuple[tuple[str, Value], ...] = ()

    def __post_init__(self) -> None:
        SEED.whole(self.seed, "the seed")
        SEED.whole(self.second_seed, "the second seed")
        TRUNCATION_PSI.real(self.truncation_psi, "the truncation")
        BLEND.real(self.blend, "the blend")
        if self.mixed_rows is not None and not 0 <= self.mixed_rows[0] <= self.mixed_rows[1]:
            raise UsageError(f"rows {self.mixed_rows} are no range; give the lower one first")

    @property
    def needs_second(self) -> bool:
        """True where the second head has a share in it."""
        return self.blend > 0 or self.mixed_rows is not None

    @property
    def name(self) -> str:
        """Short name for files and lists."""
        first = self.saved.rpartition(":")[2].replace(" ", "_") if self.saved else f"seed{self.seed:04d}"
        if not self.needs_second:
            return first
        how = "mix" if self.blend == 0 else f"blend{round(100 * self.blend):d}"
        return f"{first}_{how}_seed{self.second_seed:04d}"


@dataclass(frozen=True, kw_only=True)
class ViewChoice:
    """Manner in which a head is shown.

    Attributes:
        layer: one of :data:`LAYERS`.
        backdrop: what stands behind the head, one of :data:`BACKDROPS`.
        color: color of the backdrop "color", 0 to 255.
        photo: key of the backdrop "photo"; "" for none.

    Raises:
        UsageError: for a layer or backdrop that does not exist, or a color out of range.
    """

    layer: str = "image"
    backdrop: str = "generated"
    color: tuple[int, ...] = (255, 255, 255)
    photo: str = ""

    def __post_init__(self) -> None:
        if self.layer not in LAYERS:
            raise UsageError(f"there is no layer {self.layer!r}; give one of {', '.join(LAYERS)}")
        if self.backdrop not in BACKDROPS:
            raise UsageError(f"there is no background {self.backdrop!r}; give one of {', '.join(BACKDROPS)}")
        if len(self.color) != 3:
            raise UsageError(f"a color of {len(self.color)} numbers was given; give three")
        for level in self.color:
            COLOR_LEVEL.whole(level, "a background's color")


@dataclass(frozen=True, kw_only=True)
class Pose:
    """Position of the camera on its sphere, and the zoom.

    Attributes:
        yaw_deg: 0 is the front, positive toward +x, -180 to 180.
        pitch_deg: positive is above the head, -90 to 90.
        zoom: focal length over the official one.
    """

    yaw_deg: float = 0.0
    pitch_deg: float = 0.0
    zoom: float = 1.0


@dataclass(frozen=True, kw_only=True)
class ViewRequest:
    """One image that a tab asks for.

    Attributes:
        head, view, pose: what is shown, how, and from where.
        canvas: width and height in pixels of the area that the image fills.
    """

    head: HeadChoice = HeadChoice()
    view: ViewChoice = ViewChoice()
    pose: Pose = Pose()
    canvas: tuple[int, int] = (512, 512)

    def __post_init__(self) -> None:
        for side in self.canvas:
            CANVAS_SIDE.whole(side, "a side of the canvas")
