"""The whole evaluation on the smallest generator and a dataset of painted spheres."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

import tiny
from evaluation.scenes import bands, sphere_view
from panohead.checkpoint import save_checkpoint
from panohead.cli.main import main
from panohead.errors import PanoHeadError, UsageError
from panohead.evaluation.distributions.fake_sets import fake_sets, raw_gap
from panohead.evaluation.distributions.image_set import ImageSet, patches_per_image
from panohead.evaluation.distributions.metrics import SetSettings, compare_sets, real_sets
from panohead.evaluation.evaluate import BASELINE_NAME, Evaluation, EvaluationResult
from panohead.evaluation.fakes import FakeOrder, fake_batches
from panohead.evaluation.ground_truth.depth_baseline import depth_baseline
from panohead.evaluation.photos import ReferencePhotos, reduced
from panohead.evaluation.protocol import comparisons, yaw_of
from panohead.evaluation.real_data_baseline import tools_on_photos
from panohead.evaluation.report import write_report
from panohead.evaluation.settings import EvaluationSettings
from panohead.geometry.camera import Camera
from panohead.models.generator import Generator
from panohead.ops.pixels import image_to_uint8
from panohead.perceptual.inception import Inception
from panohead.predictor import Predictor

SMALL = replace(tiny.CONFIG, superresolution=replace(tiny.CONFIG.superresolution, from_resolution=16))
"""32-pixel images."""
PEOPLE, VIEWS = 6, 8


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six spheres from eight sides, with masks, depth and people."""
    root = tmp_path_factory.mktemp("spheres")
    labels, people = [], []
    for person in range(PEOPLE):
        shown = []
        for view in range(VIEWS):
            camera = Camera.orbit(view * 360 / VIEWS - 170 + 3 * person, 5.0 * (person - 3))
            seen = sphere_view(camera, 32, radius=0.22 + 0.01 * person, paint=lambda p, k=person: bands(p + 0.03 * k))
            name = f"{person:06d}_{view:02d}"
            for folder, pixels in (
                ("images", image_to_uint8(seen.image).permute(1, 2, 0)),
                ("masks", seen.mask[0] * 255),
            ):
                (root / folder).mkdir(exist_ok=True)
                Image.fromarray(np.asarray(pixels).astype(np.uint8)).save(root / folder / f"{name}.png")
            (root / "depth").mkdir(exist_ok=True)
            np.savez(root / "depth" / f"{name}.npz", depth=(seen.depth * seen.mask)[0].numpy().astype(np.float16))
            labels.append([f"{name}.png", camera.to_label().tolist()])
            shown.append({"image": f"{name}.png"})
        people.append(json.dumps({"person": person, "views": shown}))
    (root / "images" / "dataset.json").write_text(json.dumps({"labels": labels}))
    (root / "people.jsonl").write_text("\n".join(people))
    return root


@pytest.fixture(scope="module")
def generator() -> Generator:
    return tiny.generator(config=SMALL)


def measured(generator: Generator, data: Path | None, **options: object) -> list[EvaluationResult]:
    settings = EvaluationSettings(**{"metrics": ("swd",), "subsets": ("all", "back"), "num": 16, "heads": 1, **options})
    return Evaluation(settings, data).run({"tiny": Predictor(generator)})


def rows(column: EvaluationResult) -> dict[tuple[str, str, str], float]:
    return {result.row: result.value for result in column.results}


def test_everything_without_weights_is_measured_and_written(generator: Generator, data: Path, tmp_path: Path) -> None:
    settings = EvaluationSettings(num=16, heads=1, subsets=("all", "front"), metrics=("weight-free",))
    evaluation = Evaluation(settings, data)
    columns = evaluation.run({"tiny": Predictor(generator)})
    assert [column.name for column in columns] == ["tiny", BASELINE_NAME]
    model, baseline = (rows(column) for column in columns)
    assert {"SWD", "warping error", "leakage", "mirror score", "floaters", "peak memory"} <= {row[0] for row in model}
    assert baseline["SWD", "all", "both"] < 0.5 * model["SWD", "all", "both"]
    assert baseline["depth floor", "front", ""] < 4, "mm"
    metrics, table = write_report(tmp_path, evaluation.settings, columns, evaluation.about)
    content = json.loads(metrics.read_text(), parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    first = content["columns"][0]["results"][0]
    assert {"metric", "value", "subset", "protocol", "counts", "low", "high"} <= set(first)
    assert content["columns"][1]["about"]["photos"] == PEOPLE * VIEWS
    assert len(content["columns"][1]["about"]["sha256"]) == 64
    assert "| SWD (std) ↓ | all | both |" in table.read_text()


def test_the_same_seed_gives_the_same_numbers_and_another_one_others(generator: Generator, data: Path) -> None:
    first, again = (rows(measured(generator, data)[0]) for _ in range(2))
    assert first == again
    assert first != rows(measured(generator, data, seed=1)[0])


def test_batches_change_nothing(generator: Generator, data: Path) -> None:
    labels = ReferencePhotos(data).labels
    for route in ("forward", "front", "random"):
        ones, fives = (
            torch.cat(
                [b.images for b in fake_batches(generator, labels, FakeOrder(route=route, count=7, seed=0, batch=size))]
            ).int()
            for size in (1, 5)
        )
        assert (ones - fives).abs().max() <= 1
    few, many = (rows(measured(generator, data, batch=size)[0]) for size in (3, 16))
    assert few == pytest.approx(many, abs=2e-3)


def test_a_fake_is_the_generators_own_image(generator: Generator) -> None:
    labels = torch.stack([Camera.orbit(20.0 + k).to_label() for k in range(3)])
    batch = next(fake_batches(generator, labels, FakeOrder(route="forward", count=2, seed=4, batch=2)))
    z = torch.from_numpy(np.stack([np.random.default_rng((4, i, 2)).standard_normal(8) for i in (0, 1)])).float()
    expected = generator(z, batch.labels, ray_jitter=0.5, importance_u="even", noise_mode="const")
    torch.testing.assert_close(batch.rendering.image, expected.image, atol=1e-3, rtol=0)


def test_kept_photos_give_the_same_numbers(generator: Generator, data: Path, tmp_path: Path) -> None:
    first = measured(generator, data, cache=tmp_path, num=6)
    assert len(list(tmp_path.glob("photos-*.npz"))) == 2
    assert rows(measured(generator, data, cache=tmp_path, num=6)[0]) == rows(first[0])
    assert rows(measured(generator, data, cache=tmp_path, num=6)[1]) == rows(first[1])
    for file in tmp_path.glob("*.npz"):
        file.write_bytes(b"damaged")
    assert rows(measured(generator, data, cache=tmp_path, num=6)[0]) == rows(first[0])


class Averages(Inception):
    """In the place of Inception: means of quarters as features."""

    def __init__(self) -> None:
        nn.Module.__init__(self)
        self.fc = nn.Linear(1, 1)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        features = nn.functional.adaptive_avg_pool2d(images.float() / 255, 2).flatten(1)
        return features, features


def settings_of(data: Path, **options: object) -> SetSettings:
    values = {
        "metrics": ("fid", "kid", "is", "pr"),
        "rows": tuple(comparisons(["all", "front", "back"], ["official", "strict"])),
    }
    common = {"num": 24, "seed": 0, "batch": 8, "resolution": 32, "inception": Averages()}
    return SetSettings(**{**values, **common, **options})


def test_metrics_of_features_see_what_is_wrong(data: Path) -> None:
    settings = settings_of(data)
    reals, others = real_sets(ReferencePhotos(data), settings)
    assert (len(reals), len(others)) == (24, 24)

    def fid(fakes: object) -> float:
        found = list(compare_sets(reals, lambda row: fakes, settings))
        return {r.row: r.value for r in found if hasattr(r, "row")}["FID", "all", "both"]

    darker = [replace(others, features=others.features * factor) for factor in (1.0, 0.8, 0.5)]
    values = [fid(fakes) for fakes in darker]
    assert fid(reals) == pytest.approx(0, abs=1e-6)
    assert values == sorted(values)


def test_masks_elsewhere_are_those_of_the_folder(data: Path, tmp_path: Path) -> None:
    """The same dataset with its masks in a zip of another place: the same photos, people and identity."""
    beside, elsewhere = ReferencePhotos(data), ReferencePhotos(data / "images", masks=data / "masks")
    assert (elsewhere.sha256, elsewhere.folder) == (beside.sha256, data)
    archive = Path(shutil.make_archive(str(tmp_path / "their masks"), "zip", data / "masks"))
    packed = ReferencePhotos(data / "images", white=True, masks=archive)
    expected = next(ReferencePhotos(data, white=True).batches(np.arange(2), 32, 2))
    assert torch.equal(next(packed.batches(np.arange(2), 32, 2)), expected)
    evaluation = Evaluation(
        EvaluationSettings(metrics=("depth",), heads=2, floor=False), data / "images", masks=archive
    )
    assert [result.metric for result in evaluation.run({})[-1].results]
    with pytest.raises(UsageError, match="--data"):
        Evaluation(EvaluationSettings(), masks=archive)


def test_official_and_strict_differ_by_the_poses_of_the_fakes(generator: Generator, data: Path) -> None:
    settings = settings_of(data, metrics=("fid",))
    photos = ReferencePhotos(data)
    made = fake_sets(generator, photos.labels, settings)
    assert set(made.by_route) == {"forward", "front"}
    found = list(compare_sets(real_sets(photos, settings)[0], lambda row: made.by_route[row.subset.route], settings))
    counts = {result.row[1:]: result.counts for result in found}
    assert counts["front", "official"]["fake"] == counts["back", "official"]["fake"] == 24
    yaw = np.abs(made.by_route["front"].yaw_deg)
    assert counts["back", "strict"]["fake"] == int((yaw >= 90).sum()) < 24
    assert counts["front", "official"]["real"] == counts["front", "strict"]["real"] < 24


def test_the_raw_gap_is_what_super_resolution_changes(generator: Generator, data: Path) -> None:
    """0 for super-resolution that changes nothing, and more the more it changes."""
    settings = settings_of(data, metrics=("swd", "fid"), rows=tuple(comparisons(["all"], ["strict"])))
    made = fake_sets(generator, ReferencePhotos(data).labels, settings)
    found = {result.metric: result for result in raw_gap(made, settings)}
    assert found["SWD raw gap"].counts == {"raw": 24, "super-resolved": 24}
    assert found["SWD raw gap"].value > 0
    assert found["FID raw gap"].value > 0

    def gaps(amount: float) -> list[float]:
        collector = settings.collector()
        noise = np.random.default_rng(0).integers(-128, 128, (24, 3, 16, 16))
        images = np.random.default_rng(1).integers(0, 256, (24, 3, 16, 16))
        collector.add(torch.from_numpy((images + amount * noise).clip(0, 255).astype(np.uint8)))
        changed = collector.result(np.zeros(24))
        plain = settings.collector()
        plain.add(torch.from_numpy(images.astype(np.uint8)))
        return [r.value for r in raw_gap(replace(made, raw=plain.result(np.zeros(24)), resolved=changed), settings)]

    rows = np.array([gaps(amount) for amount in (0.0, 0.2, 0.6, 1.5)])
    assert rows[0] == pytest.approx(0, abs=1e-5)
    assert (np.diff(rows, axis=0) > 0).all()


@pytest.mark.parametrize("damage", ["noise", "blur", "darker", "wrong poses", "one identity"])
def test_every_distance_grows_with_what_is_wrong(data: Path, damage: str) -> None:
    """Through the rows of the table as the command makes them; the first of each is untouched."""
    rows = tuple(comparisons(["front" if damage == "wrong poses" else "all"], ["strict"]))
    settings = settings_of(data, metrics=("swd", "fid"), rows=rows)
    photos = ReferencePhotos(data)
    reals, _ = real_sets(photos, settings)
    # Shuffled ahead, so that the damaged images are not those they are compared with.
    order = photos.order(settings.seed)[24:]
    images = torch.cat(list(photos.batches(order, 32, 8)))
    yaws = yaw_of(photos.labels[order])
    noise = torch.randn(images.shape, generator=torch.Generator().manual_seed(0))
    values = []
    for strength in (0.0, 0.3, 0.6, 1.0):
        shown, claimed = images.float(), yaws
        count = round(strength * len(order))
        if damage == "noise":
            shown = shown + 120 * strength * noise
        elif damage == "blur" and strength:
            side = {0.3: 16, 0.6: 8, 1.0: 4}[strength]
            low = nn.functional.interpolate(shown, (side, side), mode="area")
            shown = nn.functional.interpolate(low, (32, 32), mode="bilinear")
        elif damage == "darker":
            shown = shown * (1 - 0.8 * strength)
        elif damage == "wrong poses":
            # Half around the head: an image of the back is labeled as one of the front.
            claimed = np.where(np.arange(len(yaws)) < count, (yaws + 360) % 360 - 180, yaws)
        elif damage == "one identity":
            shown = torch.cat([shown[:1].expand(count, -1, -1, -1), shown[count:]])
        collector = settings.collector()
        collector.add(shown.clamp(0, 255).to(torch.uint8))
        fakes: ImageSet = collector.result(claimed)
        values.append([r.value for r in compare_sets(reals, lambda row, made=fakes: made, settings)])
    # The stand-in for Inception computes means of quarters, which a blur keeps: the blur is for the other distance.
    grown = np.array(values)[:, : 1 if damage == "blur" else 2]
    assert (np.diff(grown, axis=0) > 0).all(), grown
    assert (grown[-1] > 1.5 * grown[0]).all(), grown


def test_photos_on_white_and_reduced(data: Path) -> None:
    kept, white = (next(ReferencePhotos(data, on).batches(np.arange(2), 16, 2)) for on in (False, True))
    assert kept.shape == white.shape == (2, 3, 16, 16)
    assert (white[:, :, 0, 0] == 255).all()
    flat = torch.arange(16, dtype=torch.uint8).reshape(1, 1, 4, 4).expand(1, 3, 4, 4)
    assert reduced(flat, 2)[0, 0].tolist() == [[3, 5], [11, 13]]
    with pytest.raises(PanoHeadError, match="--resolution 32"):
        next(ReferencePhotos(data).batches(np.arange(1), 64, 1))


def test_the_memory_of_descriptors_does_not_grow() -> None:
    assert [n * patches_per_image(n) for n in (512, 2_000, 30_000)] == [32_768, 32_000, 30_000]


def test_depth_floor_needs_depth(data: Path, tmp_path: Path) -> None:
    assert [result.subset for result in depth_baseline(data, 3)] == ["front", "side", "back"]
    with pytest.raises(PanoHeadError, match=r"people\.jsonl"):
        depth_baseline(tmp_path, 3)


def test_what_is_not_installed_is_one_sentence(generator: Generator, data: Path, tmp_path: Path) -> None:
    column = measured(
        generator, data, metrics=("swd", "fid"), subsets=("all",), inception_weights=tmp_path / "none.pth"
    )[0]
    assert [one.metric for one in column.skipped] == ["fid"]
    assert "--inception-weights" in column.skipped[0].reason
    assert rows(column), "the other metric is there"


def test_the_command(generator: Generator, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = tmp_path / "tiny.safetensors"
    save_checkpoint(model, {"G_ema": generator})
    common = ["evaluate", "--checkpoint", str(model), f"again={model}", "--out", str(tmp_path / "out"), "--num", "6"]
    options = ["--data", str(data), "--metrics", "swd,back", "--subsets", "all", "front", "--heads", "1"]
    assert main([*common, *options]) == 0
    said = capsys.readouterr().out
    assert "again" in said
    assert "metrics.json" in said
    content = json.loads((tmp_path / "out" / "metrics.json").read_text())
    first, second = content["columns"][:2]
    assert first["results"] == second["results"], "one checkpoint twice"
    assert first["about"]["sha256"] == second["about"]["sha256"]
    assert main([*common, "--metrics", "beauty"]) == 2
    out = tmp_path / "unmeasured"
    arguments = ["--checkpoint", common[common.index("--checkpoint") + 1], "--data", str(data), "--out", str(out)]
    assert main(["evaluate", *arguments, "--metrics", "fid"]) == 1, "asked for and not done"
    assert not out.exists(), "said before the work"
    said = capsys.readouterr().err
    assert "beauty" in said
    assert "--inception-weights" in said
    assert main([*common, "--num", "1"]) == 2
    assert "--num is 1; give a whole number from 2" in capsys.readouterr().err
    assert main([*common, *options, "--resolution", "64"]) == 2
    assert "--resolution 32" in capsys.readouterr().err
    assert main([*common, "--metrics", "swd"]) == 2
    assert "--data" in capsys.readouterr().err


class Knows:
    """A segmenter, face detector and pose estimator in one, right about the painted spheres but for the cameras."""

    def mask(self, image: Tensor) -> Tensor:
        return (image < 0.98).any(dim=0, keepdim=True).float()

    def confidence(self, image: Tensor) -> float:
        return 1.0

    def camera(self, image: Tensor) -> tuple[Camera, str] | None:
        return Camera.orbit(0.0), "face"

    name = "mean color"

    def embed(self, image: Tensor) -> np.ndarray:
        """Nothing of the person: the number of pixels that are not white."""
        return np.array([1.0, float((image < 0.98).float().mean())])


def test_borrowed_tools_are_tried_on_photos(data: Path) -> None:
    found = tools_on_photos(
        ReferencePhotos(data),
        count=48,
        seed=0,
        resolution=32,
        segmenter=Knows(),
        detector=Knows(),
        estimator=Knows(),
        embedder=Knows(),
    )
    by_row = {result.row[:2]: result for result in found}
    assert by_row["mask IoU", ""].value > 0.97
    assert by_row["face detection rate", "back"].value == 1.0, "such a detector is of no use, and is seen to be"
    yaw = np.abs((np.arange(8) * 45.0 - 170)[None] + 3 * np.arange(6)[:, None])
    assert by_row["yaw error", "all"].value == pytest.approx(np.where(yaw > 180, 360 - yaw, yaw).mean(), abs=0.1)
    assert by_row["yaw error", "150-180"].value > 150
    yaws = yaw_of(ReferencePhotos(data).labels)
    same = by_row["identity", "same head"]
    assert same.counts == {"heads": 6, "views": int((np.abs(yaws) <= 60).sum()), "faces": same.counts["views"]}
    assert same.value > by_row["identity", "different heads"].value
