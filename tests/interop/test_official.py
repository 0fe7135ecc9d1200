"""Official pickles to networks: what is written must come back, from PanoHead and from EG3D."""

from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from interop.hostile import Persistent, official_modules, official_pickle
from panohead.checkpoint import load_checkpoint
from panohead.cli.main import main
from panohead.errors import PanoHeadError
from panohead.interop.arguments import generator_config
from panohead.interop.official import (
    discriminator_from_official,
    generator_from_official,
    load_networks,
    load_official_state_dict,
    official_state_dict,
)
from panohead.models.generator import Generator

RENDERING: dict[str, Any] = {
    "superresolution_module": "training.superresolution.SuperresolutionHybrid2X",
    "clamp_mode": "softplus",
    "c_scale": 1,
    "superresolution_noise_mode": "none",
    "decoder_activation": "none",
    "use_torgb_raw": True,
    "triplane_size": 16,
    "triplane_depth": 3,
    "trans_reg": 10.0,
    "use_background": True,
    "sr_antialias": True,
    "depth_resolution": 6,
    "depth_resolution_importance": 6,
    "ray_start": 2.25,
    "ray_end": 3.3,
    "box_warp": 1,
}
ARGUMENTS: dict[str, Any] = {
    "z_dim": 4,
    "c_dim": 25,
    "w_dim": 512,
    "img_resolution": 128,
    "img_channels": 3,
    "mapping_kwargs": {"num_layers": 2},
    "channel_base": 128,
    "channel_max": 4,
    "num_fp16_res": 0,
    "conv_clamp": None,
    "sr_num_fp16_res": 4,
    "rendering_kwargs": RENDERING,
}
EG3D = {
    key: value
    for key, value in RENDERING.items()
    if key not in ("triplane_depth", "trans_reg", "use_background", "use_torgb_raw", "decoder_activation")
}
DISCRIMINATOR: dict[str, Any] = {
    "c_dim": 25,
    "img_resolution": 32,
    "img_channels": 3,
    "channel_base": 128,
    "channel_max": 4,
}


def _tree(names: dict[str, Tensor], buffers: set[str], **state: Any) -> dict[str, Any]:
    """The nested module states that official modules with these tensors would have."""
    children: dict[str, dict[str, Tensor]] = {}
    own: dict[str, OrderedDict[str, Any]] = {"_parameters": OrderedDict(), "_buffers": OrderedDict()}
    for name, value in names.items():
        head, _, rest = name.partition(".")
        if rest:
            children.setdefault(head, {})[rest] = value
        elif head in buffers:
            own["_buffers"][head] = value
        else:
            own["_parameters"][head] = nn.Parameter(value)
    modules = OrderedDict(
        (child, Persistent("AnyLayer", **_tree(inside, buffers))) for child, inside in children.items()
    )
    return {**own, "_modules": modules, **state}


def _write(path: Path, **networks: tuple[str, nn.Module, dict[str, Any], dict[str, Any]]) -> None:
    """An official pickle; each network is (class name, ours, init_kwargs, further state)."""
    buffers = {"resample_filter", "noise_const", "w_avg", "dataset_label_std"}
    with official_modules():
        content: dict[str, Any] = {"training_set_kwargs": None, "augment_pipe": None}
        for key, (class_name, module, init_kwargs, further) in networks.items():
            state = _tree(official_state_dict(module), buffers, **further)
            if "renderer" in further.get("_extra", {}):
                state["_modules"]["renderer"] = Persistent("ImportanceRenderer", **further["_extra"]["renderer"])
            state.pop("_extra", None)
            content[key] = Persistent(class_name, _init_args=(), _init_kwargs=init_kwargs, **state)
        path.write_bytes(official_pickle(content))


def _image(generator: Generator) -> Tensor:
    z = torch.randn(1, generator.config.z_dim, generator=torch.Generator().manual_seed(0))
    label = torch.zeros(1, 25)
    label[0, [0, 5, 10, 11, 15, 16, 18, 20, 21, 24]] = torch.tensor([1, -1, -1, 2.7, 1, 4.2, 0.5, 4.2, 0.5, 1])
    return generator(z, label, neural_rendering_resolution=8, ray_jitter=0.5, importance_u=0.5).image


def test_panohead_pickle_comes_back(tmp_path: Path) -> None:
    torch.manual_seed(0)
    generator = generator_from_official(ARGUMENTS)
    discriminator = discriminator_from_official("MaskDualDiscriminatorV2", DISCRIMINATOR)
    axes = torch.tensor(
        [
            [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
            [[1, 0, 0], [0, 0, 1], [0, 1, 0]],
            [[0, 0, 1], [1, 0, 0], [0, 1, 0]],
        ],
        dtype=torch.float32,
    )
    live = {
        "rendering_kwargs": {**RENDERING, "density_noise": 0.25},
        "neural_rendering_resolution": 8,
        "_extra": {"renderer": {"_parameters": {}, "_buffers": {}, "_modules": {}, "plane_axes": axes}},
    }
    file = tmp_path / "panohead.pkl"
    _write(
        file,
        G_ema=("TriPlaneGenerator", generator, ARGUMENTS, live),
        D=("MaskDualDiscriminatorV2", discriminator, DISCRIMINATOR, {}),
    )
    networks = load_networks(file)
    assert set(networks) == {"G_ema", "D"}
    back = networks["G_ema"]
    assert isinstance(back, Generator)
    assert back.config.rendering.density_noise == 0.25, "the live rendering_kwargs count, not the first ones"
    assert back.config.neural_rendering_resolution == 8
    # The third matrix is EG3D's: its inverse projects (x, y, z) to (z, x, y).
    assert back.config.plane_axes == ((0, 1, 2), (0, 2, 1), (2, 0, 1))
    for ours, theirs in ((generator, back), (discriminator, networks["D"])):
        expected, found = official_state_dict(ours), official_state_dict(theirs)
        assert expected.keys() == found.keys()
        assert all(torch.equal(expected[name], found[name]) for name in expected)


def test_eg3d_pickle_is_a_true_triplane(tmp_path: Path) -> None:
    torch.manual_seed(1)
    arguments = {**ARGUMENTS, "rendering_kwargs": EG3D}
    generator = generator_from_official(arguments)
    generator.dataset_label_std = None
    file = tmp_path / "eg3d.pkl"
    _write(file, G_ema=("TriPlaneGenerator", generator, arguments, {}))
    back = load_networks(file)["G_ema"]
    assert isinstance(back, Generator)
    config = back.config
    assert (config.interpolation, config.trigrid_depth, config.rendering.crop_margin) == ("bilinear", 1, 0.0)
    assert config.plane_axes == ((0, 1, 2), (0, 2, 1), (2, 0, 1))
    assert back.background is None
    assert back.camera_alignment is None
    assert back.torgb_raw is None
    assert config.decoder_activation == "sigmoid"
    assert torch.equal(_image(back), _image(generator))
    assert official_state_dict(back).keys() == official_state_dict(generator).keys()


def test_round_trip_of_any_values_is_exact() -> None:
    generator = generator_from_official(ARGUMENTS)
    random = torch.Generator().manual_seed(0)
    state = {name: torch.randn(value.shape, generator=random) for name, value in official_state_dict(generator).items()}
    load_official_state_dict(generator, state)
    back = official_state_dict(generator)
    assert back.keys() == state.keys()
    assert all(torch.equal(back[name], state[name]) for name in state)
    del state["dataset_label_std"]
    load_official_state_dict(generator, state)
    assert official_state_dict(generator).keys() == state.keys()


def test_weights_that_do_not_fit_are_named() -> None:
    generator = generator_from_official(ARGUMENTS)
    state = dict(official_state_dict(generator))
    state["decoder.net.0.weight"] = torch.zeros(3, 3)
    del state["torgb.bias"]
    state["surprise"] = torch.zeros(1)
    with pytest.raises(PanoHeadError, match=r"decoder.net.0.weight has shape \(3, 3\) instead of \(64, 32\)") as error:
        load_official_state_dict(generator, state)
    assert "surprise is unexpected" in str(error.value)
    assert "torgb.bias is missing" in str(error.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"superresolution_module": "a.SuperresolutionHybridDeepfp32"}, "SuperresolutionHybridDeepfp32"),
        ({"clamp_mode": "relu"}, "clamp_mode 'relu'"),
    ],
)
def test_arguments_we_cannot_reproduce_are_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(PanoHeadError, match=message):
        generator_config({**ARGUMENTS, "rendering_kwargs": {**RENDERING, **changes}})


def test_missing_and_usual_arguments() -> None:
    without = {key: value for key, value in RENDERING.items() if key != "box_warp"}
    with pytest.raises(PanoHeadError, match="lack 'box_warp'"):
        generator_config({**ARGUMENTS, "rendering_kwargs": without})
    with pytest.raises(PanoHeadError, match="lack 'rendering_kwargs'"):
        generator_config({"z_dim": 4})
    usual = {"num_layers": 2, "w_avg_beta": 0.998}
    assert generator_config({**ARGUMENTS, "mapping_kwargs": usual, "sr_kwargs": None}).mapping_layers == 2
    with pytest.raises(PanoHeadError, match="activation = 'relu'"):
        generator_config({**ARGUMENTS, "mapping_kwargs": {"activation": "relu"}})


def test_missing_scale_means_unconditional() -> None:
    without = {key: value for key, value in RENDERING.items() if key != "c_scale"}
    assert generator_config({**ARGUMENTS, "rendering_kwargs": without}).conditioning_scale == 0
    zeroed = {**RENDERING, "c_gen_conditioning_zero": True}
    assert generator_config({**ARGUMENTS, "rendering_kwargs": zeroed}).conditioning_scale == 0


def test_unknown_discriminator_is_named() -> None:
    with pytest.raises(PanoHeadError, match="discriminator 'Evil' is not known"):
        discriminator_from_official("os.Evil", DISCRIMINATOR)


def test_command_converts_and_refuses(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.manual_seed(2)
    generator = generator_from_official(ARGUMENTS)
    file, out = tmp_path / "official.pkl", tmp_path / "ours.safetensors"
    _write(file, G_ema=("TriPlaneGenerator", generator, ARGUMENTS, {}))
    assert main(["import-official", str(file), "--out", str(out)]) == 0
    assert torch.equal(_image(load_checkpoint(out).generator()), _image(generator))
    (tmp_path / "bad.pkl").write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    assert main(["import-official", str(tmp_path / "bad.pkl"), "--out", str(out)]) == 1
    error = capsys.readouterr().err.strip()
    assert error.count("\n") == 0
    assert "bad.pkl" in error
