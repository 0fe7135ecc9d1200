"""Results of a reconstruction whose photos show nothing of the head: an error, and nothing is written."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

import tiny
from panohead.errors import PanoHeadError
from panohead.gallery import ViewStyle, write_results
from panohead.gallery.meshes import MeshSettings
from panohead.geometry import Camera
from panohead.inversion import open_output_folder
from panohead.inversion.optimization.log import OptimizationLog
from panohead.inversion.photo import AlignedPhoto
from panohead.inversion.reconstructed_head import InversionResult, ReconstructedHead

SIDE = tiny.CONFIG.superresolution.output_resolution


def head_seen_from(camera: Camera, inside: torch.Tensor | None = None) -> ReconstructedHead:
    generator = tiny.generator()
    generator.decoder.output.bias[0] += 30  # opaque
    ws = generator.mapping_network.w_avg.expand(1, generator.backbone.num_ws, -1)
    photo = AlignedPhoto("me.png", torch.zeros(3, SIDE, SIDE), None, camera, "given", inside=inside)
    result = InversionResult(generator, ws, [camera], None)
    return ReconstructedHead(result, untuned=generator, photos=[photo], log=OptimizationLog())


@pytest.mark.parametrize("cut", [False, True])
def test_photos_that_show_nothing_of_the_head_are_an_error(tmp_path: Path, cut: bool) -> None:
    head = head_seen_from(Camera.orbit(), torch.zeros(1, SIDE, SIDE) if cut else None)
    if not cut:
        # A camera that has the head behind it.
        (view,) = head.input_views
        head.input_views = [replace(view, mask=torch.zeros_like(view.mask))]
    assert head.is_out_of_view
    folder = open_output_folder(tmp_path / "out", [])
    with pytest.raises(PanoHeadError, match="the photos show nothing of the head"):
        write_results(
            head,
            folder,
            ViewStyle(),
            frames=1,
            formats=["ply"],
            settings=MeshSettings(resolution=16),
            step=lambda: None,
        )
    assert list((tmp_path / "out").iterdir()) == []


def test_photos_that_show_the_head_are_none() -> None:
    assert not head_seen_from(Camera.orbit()).is_out_of_view
