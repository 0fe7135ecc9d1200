"""One photo to a head from all sides (latent search, then pivotal tuning).

Run:     python examples/03_reconstruct.py [OUT] [STEPS] [PHOTO]
Writes:  OUT/target.png, OUT/reconstruction.png (eight sides)

PHOTO is any photo of a head (needs the extra "face", which finds the head). Without it the target is an image of the
bundled model from a known camera. STEPS (default 20) is for a first look; FastConfig() has those of a good result.
"""

import sys
from pathlib import Path

from panohead import Camera, load
from panohead.inversion import FastConfig
from panohead.media import contact_sheet, save_image

out = Path(sys.argv[1] if len(sys.argv) > 1 else "out")
steps = int(sys.argv[2]) if len(sys.argv) > 2 else 20
photo = Path(sys.argv[3]) if len(sys.argv) > 3 else None
out.mkdir(parents=True, exist_ok=True)

predictor = load("demo")
config = FastConfig(starts=8, coarse_steps=steps, fine_steps=steps // 2, tuning_steps=steps, w_samples=1024)
if photo is None:
    camera = Camera.orbit(yaw_deg=20)
    target = predictor.sample(seed=3).render(camera).to_pil()
    head = predictor.reconstruct([target], [camera], config=config, seed=0)
else:
    head = predictor.reconstruct([photo], config=config, seed=0)  # finds, crops and aligns the head by itself

save_image(head.photos[0].image, out / "target.png", source=None)  # the aligned photo, [3, H, W]
views = [view.to_pil() for view in head.turntable(frames=8)]  # a head like any other: head.mesh() works too
save_image(contact_sheet([views], column_labels=[f"{45 * i}" for i in range(8)]), out / "reconstruction.png")

error = (head.input_views[0].image - head.photos[0].image).abs().mean().item()
print(f"mean absolute error at the photo's camera {error:.3f} (images are in [-1, 1]); wrote {out}")
