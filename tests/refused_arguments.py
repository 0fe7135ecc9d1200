"""Calls of the Python API with arguments that it must refuse, made without the run-time type checks of the tests.

Run as a script (test_api_arguments.py does) it prints the kind and the sentence of every error as JSON.
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image

import tiny
from panohead import Camera, load
from panohead.alignment import GivenPose, align
from panohead.attributes.blendshape_file import BlendshapeTrack, read_blendshapes
from panohead.data import open_dataset
from panohead.inversion import FastConfig, reconstruct
from panohead.inversion.head_edit import HeadEdit
from panohead.media import is_marked_synthetic, save_image
from panohead.media.verification import find_marks
from panohead.models.generator_config import GeneratorConfig
from panohead.predictor import Predictor
from panohead.preparation import PrepareSettings, prepare
from panohead.splats import SplatCloud, encoded_splats, render_splats
from panohead.synthetic.config import SyntheticDatasetConfig

NAN, INF = float("nan"), float("inf")


def calls(out: Path) -> dict[str, Callable[[], object]]:
    """Every call by a name: what is wrong with it."""
    predictor = Predictor(tiny.generator())
    head, camera = predictor.sample(0), Camera.orbit()
    config = GeneratorConfig(**{**vars(tiny.CONFIG), "use_background": False})
    bare = Predictor(tiny.generator(config=config)).sample(0)
    pixels = Camera(camera.cam2world, camera.intrinsics * torch.tensor([[512.0], [512.0], [1.0]]))
    mirrored = Camera(camera.cam2world * torch.tensor([-1.0, 1, 1, 1]), camera.intrinsics)
    broken = Camera(camera.cam2world * NAN, camera.intrinsics)
    transposed = Camera(camera.cam2world.T, camera.intrinsics)
    opengl = Camera(camera.cam2world @ torch.diag(torch.tensor([1.0, -1, -1, 1])), camera.intrinsics)
    sheared = Camera(camera.cam2world @ torch.diag(torch.tensor([2.0, 1, 1, 1])), camera.intrinsics)
    track = BlendshapeTrack(np.arange(3) / 30, np.zeros((3, 52)))
    place, turn = torch.zeros(1, 3), torch.tensor([[1.0, 0, 0, 0]])
    cloud = SplatCloud(place, place - 3, turn, torch.zeros(1), place)
    found: dict[str, Callable[[], object]] = {
        **{f"seed {s!r}": lambda s=s: predictor.sample(s) for s in (-1, 2**32, 1.5, NAN, "3", None, True, [1])},
        **{f"psi {p!r}": lambda p=p: predictor.sample(0, truncation_psi=p) for p in (NAN, INF, 1e9, "1", None)},
        **{f"cutoff {c!r}": lambda c=c: predictor.sample(0, truncation_cutoff=c) for c in (-1, 7, 2.5, "2")},
        "conditioning batch": lambda: predictor.sample(0, conditioning_camera=camera.expand(2)),
        "conditioning list": lambda: predictor.sample(0, conditioning_camera=[0, 0]),
        **{f"yaw {y!r}": lambda y=y: Camera.orbit(y) for y in (NAN, INF, 1e30, "front", None)},
        **{f"pitch {y!r}": lambda y=y: Camera.orbit(0, y) for y in (NAN, -INF, 91, "up")},
        **{f"radius {r!r}": lambda r=r: Camera.orbit(radius=r) for r in (NAN, INF, 0, -2.7, 1e6, "2.7", None)},
        **{f"focal {f!r}": lambda f=f: Camera.orbit(focal=f) for f in (NAN, INF, 0, -4, 2183.0, "4")},
        **{f"target {t!r}": lambda t=t: Camera.orbit(target=t) for t in ((0, 0), (0, 0, NAN), "abc", 3, (0, 0, 1e9))},
        "look_at focal": lambda: Camera.look_at(torch.ones(3), torch.zeros(3), focal=0),
        "camera of lists": lambda: Camera([[1.0]], [[1.0]]),
        "camera of another shape": lambda: Camera(torch.eye(3), torch.eye(3)),
        "camera of unequal batches": lambda: Camera(torch.eye(4).expand(2, 4, 4), torch.eye(3)),
        "label of 16": lambda: Camera.from_label(torch.zeros(16)),
        "label of a list": lambda: Camera.from_label([0.0] * 25),
        **{f"rays {r!r}": lambda r=r: head.render(camera, resolution=r) for r in (0, -4, 100_000, 1.5, NAN, "64")},
        "preview resolution": lambda: head.preview(camera, resolution=0),
        "batch of cameras": lambda: head.render(camera.expand(3)),
        "preview of a batch": lambda: head.preview(camera.expand(3)),
        "label as camera": lambda: head.render(camera.to_label()),
        "yaw as camera": lambda: head.render(30),
        "intrinsics in pixels": lambda: head.render(pixels),
        "mirrored camera": lambda: head.render(mirrored),
        "camera of NaN": lambda: head.render(broken),
        "transposed camera": lambda: head.render(transposed),
        "sheared camera": lambda: head.render(sheared),
        "OpenGL axes": lambda: head.render(opengl),
        "too far": lambda: head.render(Camera.orbit(radius=20)),
        "too near": lambda: head.render(Camera.orbit(radius=0.1)),
        "background of a color": lambda: head.render(camera, background=(255, 0, 0)),
        "background that is not there": lambda: bare.render(camera, background=bare),
        "background of another model": lambda: head.render(camera, background=bare),
        **{f"turntable {n!r}": lambda n=n: head.turntable(n) for n in (0, -1, 2.5, NAN, "8", 10**9)},
        "turntable pitch": lambda: head.turntable(4, pitch_deg=NAN),
        "turntable start": lambda: head.turntable(4, start_yaw_deg=INF),
        **{f"amount {a!r}": lambda a=a: predictor.interpolate(head, head, a) for a in (NAN, INF, 1e9, "0.5", None)},
        "interpolate tensors": lambda: predictor.interpolate(head.ws, head.ws, 0.5),
        "mix row": lambda: predictor.mix(head, head, [6]),
        "mix text": lambda: predictor.mix(head, head, "0-3"),
        "mix number": lambda: predictor.mix(head, head, 3),
        "ws of NaN": lambda: predictor.from_w(head.ws * NAN),
        "ws of a list": lambda: predictor.from_w([0.0] * 16),
        "ws of another shape": lambda: predictor.from_w(torch.zeros(3)),
        **{f"grid {r!r}": lambda r=r: head.mesh(resolution=r) for r in (0, 7, -4, 100_000, 64.5, "64")},
        **{f"unit {u!r}": lambda u=u: head.mesh(32, unit=u) for u in ("cm", "inch", "", None, 1)},
        **{f"level {v!r}": lambda v=v: head.mesh(32, level=v) for v in (NAN, INF, "10")},
        **{f"smooth {n!r}": lambda n=n: head.mesh(32, smooth=n) for n in (-1, 2.5, 10**6)},
        **{f"triangles {n!r}": lambda n=n: head.mesh(32, triangles=n) for n in (0, 99, -5, 2.5, "many")},
        **{f"texture {n!r}": lambda n=n: head.mesh(32, texture=n) for n in (0, 15, 10**6, "512")},
        "texture of all triangles": lambda: head.mesh(32, texture=64, triangles="full"),
        "points of another shape": lambda: head.density(torch.zeros(3)),
        "save image as text": lambda: head.render(camera).save(out / "a.txt"),
        "save image to nothing": lambda: head.render(camera).save(None),
        "quality": lambda: head.render(camera).save(out / "a.jpg", quality=1000),
        "transparent JPEG": lambda: head.render(camera).save(out / "a.jpg", transparent=True),
        "save mesh as text": lambda: head.save_mesh(out / "a.fbx"),
        "save mesh in cm": lambda: head.save_mesh(out / "a.glb", unit="cm"),
        "save a volume": lambda: head.save_mesh(out / "a.mrc"),
        "save video as text": lambda: head.save_video(out / "a.avi"),
        "save page as text": lambda: head.save_html(out / "a.txt"),
        "page of no frame": lambda: head.save_html(out / "a.html", frames=0),
        "page from below": lambda: head.save_html(out / "a.html", pitch_deg=-91),
        "video of no frame": lambda: head.save_video(out / "a.mp4", frames=0),
        **{f"fps {f!r}": lambda f=f: head.save_video(out / "a.mp4", fps=f) for f in (0, -1, NAN, INF, "24")},
        "transparent mp4": lambda: head.save_video(out / "a.mp4", transparent=True),
        **{f"color {c!r}": lambda c=c: head.render(camera).on(c) for c in ((256, 0, 0), (0, 0), "red", None)},
        "color NaN": lambda: head.render(camera).on((0, 0, NAN)),
        **{f"expression {w!r}": lambda w=w: head.with_expression(w) for w in ("jawOpen", ["jawOpen"], 0.5)},
        **{
            f"{call.__name__} of {value!r}": lambda call=call, value=value: call(value)
            for call in (find_marks, is_marked_synthetic, read_blendshapes, predictor.open_reconstruction,
                         predictor.save_pretrained, Predictor.from_pretrained, predictor.push_to_hub)
            for value in (None, 3)
        },
        **{f"track at {f!r} fps": lambda f=f: track.at(f) for f in (0, -1, NAN, INF, 1e9, "30", None)},
        "change of a word": lambda: HeadEdit("glasses"),
        "change of what stays": lambda: HeadEdit(("nose",)),
        "change of text": lambda: HeadEdit(neutral="yes"),
        "change that is none": lambda: predictor.reconstruct(Image.new("RGB", (64, 64)), camera, edit=3),
        **{f"splats at {n!r} pixels": lambda n=n: render_splats(cloud, camera, n) for n in (0, 1.5, NAN, "64", 10**7)},
        "no splats": lambda: render_splats(None, camera, 64),
        "no splats for a file": lambda: encoded_splats(None),
        "splats of no camera": lambda: render_splats(cloud, 30, 64),
        "checkpoint None": lambda: load(None),
        "checkpoint number": lambda: load(3),
        "precision": lambda: load("demo", precision="fast"),
        "device": lambda: load("demo", device="tpu"),
        "no photo": lambda: reconstruct(predictor.generator, []),
        "photo of letters": lambda: reconstruct(predictor.generator, "me.jpg"),
        "photo of a number": lambda: reconstruct(predictor.generator, [3]),
        "photo of a tensor": lambda: predictor.reconstruct(head.render(camera).image),
        "photos and a batch of cameras": lambda: predictor.reconstruct(
            Image.new("RGB", (64, 64)), camera.expand(2), config=FastConfig()
        ),
        **{
            f"reconstruction seed {s!r}": lambda s=s: predictor.reconstruct(Image.new("RGB", (64, 64)), camera, seed=s)
            for s in (-1, 1.5, NAN, "0", 2**64)
        },
        "box of three": lambda: GivenPose(0, 0, 0, (0, 0, 9)),
        "box of text": lambda: GivenPose(0, 0, 0, "0 0 9 9"),
        "align a number": lambda: align(3),
        "align a float array": lambda: align(np.zeros((8, 8, 3))),
        "dataset that is not there": lambda: open_dataset("nowhere"),
        "dataset of a number": lambda: open_dataset(3),
        "dataset of nothing": lambda: open_dataset(None),
        "prepare a number": lambda: prepare(3, PrepareSettings(out=out / "prepared")),
        "prepare numbers": lambda: prepare([3], PrepareSettings(out=out / "prepared")),
        "prepare one path that is not there": lambda: prepare("nowhere.jpg", PrepareSettings(out=out / "prepared")),
        "prepare with workers -1": lambda: prepare([str(out)], PrepareSettings(out=out / "prepared"), workers=-1),
        **{
            f"prepare with {name} {value!r}": lambda k=name, v=value: PrepareSettings(**{"out": out, k: v})
            for name, value in (
                ("out", None), ("size", 0), ("size", 1e5), ("format", "bmp"), ("head", 0), ("head", 1.5),
            )
        },
        **{
            f"people with {name} {value!r}": lambda k=name, v=value: SyntheticDatasetConfig(
                **{"out": out / "people", "people": 1, k: v}
            )
            for name, value in (
                ("out", None), ("people", 1.5), ("people", True), ("people", 0), ("seed", NAN), ("seed", -1),
                ("focal", "4"), ("focal", NAN), ("pitch_std_deg", INF), ("light", "sun"), ("format", "bmp"),
                ("quality", "best"), ("views", "2"), ("resolution", 8), ("edition", 7), ("expressions", 101),
            )
        },
        "photo of no pixels": lambda: align(np.zeros((0, 5, 3), np.uint8)),
        "image of no pixels": lambda: align(Image.new("RGB", (5, 0))),
        "photo of no pixels to reconstruct": lambda: predictor.reconstruct(np.zeros((0, 5, 3), np.uint8)),
        **{
            f"saved image of {image.shape}": lambda image=image: save_image(image, out / "image.png")
            for image in (
                torch.zeros(3, 0, 8), torch.zeros(2, 8, 8), torch.zeros(8, 8), torch.zeros(1, 3, 8, 8),
                np.zeros((0, 8, 3), np.uint8), np.zeros((8, 8, 2), np.uint8), np.zeros(8, np.uint8),
            )
        },
        **{
            f"dataset {name} {value!r}": lambda name=name, value=value: open_dataset(out / "data", **{name: value})
            for name, value in (
                ("resolution", 0), ("resolution", -4), ("resolution", 2.5), ("background", "black"),
                ("camera_jitter", NAN), ("camera_jitter", -1), ("camera_jitter_seed", -1), ("broken_limit", -1),
            )
        },
    }  # fmt: skip
    return found


def main() -> None:
    """Print what every call raises."""
    out = Path(sys.argv[1])
    found = {}
    for name, call in calls(out).items():
        try:
            call()
        except Exception as error:
            kinds = [kind.__name__ for kind in type(error).__mro__]
            found[name] = {"kinds": kinds, "sentence": str(error)}
        else:
            found[name] = {"kinds": [], "sentence": "passed"}
    print(json.dumps({"found": found, "left": sorted(path.name for path in out.iterdir())}))


if __name__ == "__main__":
    main()
