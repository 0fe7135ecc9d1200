"""Sample a head and render it: from all sides, cut out, on a color, with depth and mask.

Run:     python examples/00_first_head.py [OUT]
Writes:  OUT/yaw*.png, cutout.png, on_blue.png, depth.png, mask.png
"""

import sys
from pathlib import Path

from panohead import Camera, load
from panohead.media import depth_preview, mask_to_pil, save_image

out = Path(sys.argv[1] if len(sys.argv) > 1 else "out")
out.mkdir(parents=True, exist_ok=True)

predictor = load("demo")  # or a .safetensors file, or an official .pkl
head = predictor.sample(seed=0, truncation_psi=0.7)  # the same seed gives the same head on every machine

for yaw_deg in range(0, 360, 45):  # 0 is the front, 90 the camera on the +x side, 180 the back
    frame = head.render(Camera.orbit(yaw_deg=yaw_deg, pitch_deg=5))
    save_image(frame.image, out / f"yaw{yaw_deg:03d}.png")  # float [3, H, W] in [-1, 1]; marked as synthetic

front = head.render(Camera.orbit())
save_image(front.to_pil(transparent=True), out / "cutout.png")
save_image(front.on((40, 80, 160)).to_pil(), out / "on_blue.png")
save_image(depth_preview(front.depth, front.mask), out / "depth.png")  # [1, h, w], world units along the ray
save_image(mask_to_pil(front.mask), out / "mask.png")  # [1, h, w], 0 background to 1 head
print(f"wrote 8 views of seed 0 to {out}; image {tuple(front.image.shape)}, depth {tuple(front.depth.shape)}")
