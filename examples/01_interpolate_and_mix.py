"""Walk between two heads in the latent space w, and mix the shape of one with the colors of the other.

Run:     python examples/01_interpolate_and_mix.py [OUT]
Writes:  OUT/interpolation.png, OUT/mixing.png (contact sheets)
"""

import sys
from pathlib import Path

from panohead import Camera, load
from panohead.media import contact_sheet, save_image

out = Path(sys.argv[1] if len(sys.argv) > 1 else "out")
out.mkdir(parents=True, exist_ok=True)

predictor = load("demo")
first, second = predictor.sample(seed=0), predictor.sample(seed=1)
yaws_deg = [0, 60, 180]

# A straight line in w: every point on it is a head. 0 is the first, 1 the second.
amounts = [0.0, 0.25, 0.5, 0.75, 1.0]
rows = [
    [predictor.interpolate(first, second, amount).render(Camera.orbit(yaw)).to_pil() for amount in amounts]
    for yaw in yaws_deg
]
sides = [f"yaw {yaw}" for yaw in yaws_deg]
sheet = contact_sheet(rows, row_labels=sides, column_labels=[f"{a:g}" for a in amounts], cell_size=128)
save_image(sheet, out / "interpolation.png")

# ws is [1, num_ws, w_dim], one row a layer of the backbone: low rows are shape, high rows color.
num_ws = first.ws.shape[1]
cuts = [0, num_ws // 3, 2 * num_ws // 3, num_ws]
mixed = [predictor.mix(first, second, range(cut, num_ws)) for cut in cuts]  # rows from cut on are the second's
rows = [[head.render(Camera.orbit(yaw)).to_pil() for head in mixed] for yaw in yaws_deg]
sheet = contact_sheet(rows, row_labels=sides, column_labels=[f"from row {cut}" for cut in cuts], cell_size=128)
save_image(sheet, out / "mixing.png")
print(f"wrote {out / 'interpolation.png'} and {out / 'mixing.png'}; ws has {num_ws} rows")
