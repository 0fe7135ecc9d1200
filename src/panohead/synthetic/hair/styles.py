"""Hair styles by name: one small function each, from a scalp to strands (decimeters)."""

from collections.abc import Callable

from panohead.synthetic.hair import loose_styles, short_styles, tied_styles
from panohead.synthetic.hair.scalp import Scalp, StrandArray

STYLES: dict[str, Callable[[Scalp], list[StrandArray]]] = {
    style.__name__: style
    for style in (
        short_styles.bald,
        short_styles.buzz,
        short_styles.short,
        short_styles.receding,
        short_styles.slick,
        short_styles.side_part,
        loose_styles.bob,
        loose_styles.bob_fringe,
        loose_styles.long,
        loose_styles.wavy,
        loose_styles.curly,
        loose_styles.afro,
        tied_styles.ponytail,
        tied_styles.bun,
        tied_styles.locs,
        tied_styles.braids,
    )
}
