"""Conversion of official constructor arguments to our configurations (docs/reference.md 3, 4 and 8)."""

from collections.abc import Mapping
from typing import Any

from panohead.errors import PanoHeadError
from panohead.models.discriminator import DiscriminatorConfig, DiscriminatorVariant
from panohead.models.generator_config import GeneratorConfig
from panohead.models.superresolution import SuperResolutionConfig, SuperResolutionKind
from panohead.rendering.renderer import RenderConfig
from panohead.rendering.trigrid import EG3D_AXES, PANOHEAD_AXES, PlaneAxes
from panohead.stylegan.synthesis import BlockConfig

_SUPERRESOLUTION_KINDS: dict[str, SuperResolutionKind] = {
    "SuperresolutionHybrid2X": "2x",
    "SuperresolutionHybrid4X": "4x",
    "SuperresolutionHybrid8X": "8x",
    "SuperresolutionHybrid8XDC": "8xdc",
}
_DISCRIMINATOR_VARIANTS: dict[str, DiscriminatorVariant] = {
    "MaskDualDiscriminatorV2": "tri",
    "MaskDualDiscriminator": "tri_two_trunks",
    "DualDiscriminator": "dual",
    "SingleDiscriminator": "single",
}


def generator_config(
    init_kwargs: Mapping[str, Any],
    *,
    rendering_kwargs: Mapping[str, Any] | None = None,
    neural_rendering_resolution: int = 64,
    plane_axes: PlaneAxes | None = None,
) -> GeneratorConfig:
    """Return the configuration of an official ``TriPlaneGenerator``.

    Args:
        init_kwargs: its constructor's keyword arguments.
        rendering_kwargs: the live ones of a pickle, preferred over those in ``init_kwargs``.
        plane_axes: axes found in a pickle's renderer; None takes those of PanoHead or EG3D.

    Raises:
        PanoHeadError: for a setting that cannot be reproduced.
    """
    try:
        return _generator_config(init_kwargs, rendering_kwargs, neural_rendering_resolution, plane_axes)
    except KeyError as error:
        raise PanoHeadError(f"the official arguments lack {error.args[0]!r}") from error
    except (TypeError, ValueError) as error:
        raise PanoHeadError(f"the official arguments are not understood ({error})") from error


def _generator_config(
    init_kwargs: Mapping[str, Any],
    rendering_kwargs: Mapping[str, Any] | None,
    neural_rendering_resolution: int,
    plane_axes: PlaneAxes | None,
) -> GeneratorConfig:
    kwargs = dict(init_kwargs)
    r = dict(rendering_kwargs if rendering_kwargs is not None else kwargs["rendering_kwargs"])
    # EG3D has neither a tri-grid nor a background, a crop or camera self-adaptation.
    is_panohead = "triplane_depth" in r
    if r.get("clamp_mode", "softplus") != "softplus":
        raise PanoHeadError(f"clamp_mode {r['clamp_mode']!r} is not known; only 'softplus' is")
    return GeneratorConfig(
        z_dim=kwargs["z_dim"],
        label_dim=kwargs["c_dim"],
        w_dim=kwargs["w_dim"],
        mapping_layers=_mapping_layers(kwargs.get("mapping_kwargs") or {}),
        conditioning_scale=0.0 if r.get("c_gen_conditioning_zero") else float(r.get("c_scale") or 0),
        trigrid_resolution=r.get("triplane_size", 256),
        trigrid_depth=r.get("triplane_depth", 1),
        plane_axes=plane_axes or (PANOHEAD_AXES if is_panohead else EG3D_AXES),
        interpolation="trilinear" if is_panohead else "bilinear",
        decoder_activation=r.get("decoder_activation", "sigmoid"),
        decoder_lr_multiplier=float(r.get("decoder_lr_mul", 1)),
        neural_rendering_resolution=neural_rendering_resolution,
        channel_base=kwargs.get("channel_base", 32768),
        channel_max=kwargs.get("channel_max", 512),
        num_fp16_resolutions=kwargs.get("num_fp16_res", 4),
        block=BlockConfig(
            architecture=kwargs.get("architecture", "skip"),
            activation=kwargs.get("activation", "lrelu"),
            use_noise=kwargs.get("use_noise", True),
            conv_clamp=kwargs.get("conv_clamp", 256),
            fused_modconv=kwargs.get("fused_modconv_default", True),
        ),
        rendering=_render_config(r, crop_margin=0.1 if is_panohead else 0.0),
        superresolution=_superresolution_config(kwargs, r),
        use_torgb_raw=bool(r.get("use_torgb_raw", False)),
        use_background=bool(r.get("use_background", False)),
        use_camera_alignment=is_panohead and "trans_reg" in r and r["trans_reg"] is not None,
    )


def _mapping_layers(mapping_kwargs: Mapping[str, Any]) -> int:
    usual = {"embed_features": None, "layer_features": None, "activation": "lrelu", "lr_multiplier": 0.01}
    usual |= {"w_avg_beta": 0.998}
    for name, value in mapping_kwargs.items():
        if name != "num_layers" and (name not in usual or value != usual[name]):
            raise PanoHeadError(f"mapping_kwargs with {name} = {value!r} are not known; only num_layers can differ")
    return int(mapping_kwargs.get("num_layers", 8))


def _render_config(r: Mapping[str, Any], *, crop_margin: float) -> RenderConfig:
    return RenderConfig(
        depth_samples=r["depth_resolution"],
        importance_samples=r["depth_resolution_importance"],
        ray_start=r["ray_start"],
        ray_end=r["ray_end"],
        box_warp=float(r["box_warp"]),
        disparity=bool(r.get("disparity_space_sampling", False)),
        white_background=bool(r.get("white_back", False)),
        crop_margin=crop_margin,
        density_noise=float(r.get("density_noise", 0)),
        official_missed_rays=True,
    )


def _superresolution_config(kwargs: Mapping[str, Any], r: Mapping[str, Any]) -> SuperResolutionConfig:
    name = str(r["superresolution_module"]).rsplit(".", 1)[-1]
    if name not in _SUPERRESOLUTION_KINDS:
        raise PanoHeadError(
            f"superresolution_module {name!r} is not known; known are {', '.join(_SUPERRESOLUTION_KINDS)}"
        )
    return SuperResolutionConfig(
        kind=_SUPERRESOLUTION_KINDS[name],
        noise_mode=r.get("superresolution_noise_mode", "none"),
        antialias=bool(r.get("sr_antialias", True)),
        half_precision=kwargs.get("sr_num_fp16_res", 0) > 0,
        fused_modconv=dict(kwargs.get("sr_kwargs") or {}).get("fused_modconv_default", True),
    )


def discriminator_config(class_name: str, init_kwargs: Mapping[str, Any]) -> DiscriminatorConfig:
    """Return the configuration of an official discriminator by class name (with or without module) and arguments.

    Raises:
        PanoHeadError: for a class or setting that cannot be reproduced.
    """
    name = class_name.rsplit(".", 1)[-1]
    if name not in _DISCRIMINATOR_VARIANTS:
        raise PanoHeadError(f"discriminator {name!r} is not known; known are {', '.join(_DISCRIMINATOR_VARIANTS)}")
    kwargs = dict(init_kwargs)
    epilogue = dict(kwargs.get("epilogue_kwargs") or {})
    return DiscriminatorConfig(
        variant=_DISCRIMINATOR_VARIANTS[name],
        resolution=kwargs["img_resolution"],
        label_dim=kwargs["c_dim"],
        architecture=kwargs.get("architecture", "resnet"),
        channel_base=kwargs.get("channel_base", 32768),
        channel_max=kwargs.get("channel_max", 512),
        num_fp16_resolutions=kwargs.get("num_fp16_res", 4),
        conv_clamp=kwargs.get("conv_clamp", 256),
        mask_resolution=kwargs.get("seg_resolution", 128),
        label_map_dim=kwargs.get("cmap_dim"),
        label_noise=float(kwargs.get("disc_c_noise", 0)),
        mapping_layers=_mapping_layers(kwargs.get("mapping_kwargs") or {}),
        mbstd_group_size=epilogue.get("mbstd_group_size", 4),
        mbstd_num_channels=epilogue.get("mbstd_num_channels", 1),
    )
