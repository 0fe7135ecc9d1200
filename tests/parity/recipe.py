"""Deterministic weight and input recipe used by every golden file in this folder.

Written for the golden-data set; depends on numpy only.  Every tensor of a
network is regenerated from its state-dict name, its shape and a `salt` string
(the salt of each file is stored in the file itself, key `meta_json`).
"""

import re
import zlib

import numpy as np

_MAPFC = re.compile(r"(^|\.)mapping\.fc\d+\.(weight|bias)$")


def _rng(text):
    return np.random.default_rng(zlib.crc32(text.encode("utf-8")))


def scale_offset(name):
    """(scale, offset) applied to standard normals for a state-dict name.

    None means: leave the tensor as the constructor made it."""
    leaf = name.rsplit(".", 1)[-1]
    if leaf == "resample_filter":
        return None
    if name.startswith("t_mapping."):
        if name == "t_mapping.fc1.weight":
            return 0.05, 0.0
        if name == "t_mapping.fc1.bias":
            return 0.02, 0.0
        if leaf == "w_avg":
            return 0.02, 0.0
        return (0.1, 0.0) if leaf == "bias" else (1.0, 0.0)
    if _MAPFC.search(name):  # lr multiplier 0.01 lives in these layers
        return (100.0, 0.0) if leaf == "weight" else (10.0, 0.0)
    if leaf == "w_avg":
        return 0.5, 0.0
    if leaf == "noise_strength":
        return 0.1, 0.0
    if name.endswith("affine.bias"):
        return 0.1, 1.0
    if leaf == "bias":
        return 0.1, 0.0
    return 1.0, 0.0  # weight, const, noise_const, dataset_label_std


def make(name, shape, salt=""):
    """float32 array for one tensor, or None when the tensor keeps its own value."""
    so = scale_offset(name)
    if so is None:
        return None
    scale, offset = so
    x = np.asarray(_rng(salt + name).standard_normal(tuple(shape)), dtype=np.float64)
    x = x * scale + offset
    if name.endswith("decoder.net.2.weight"):
        x[0] = (x[0] - x[0].mean()) * 10.0  # density row: zero-mean, gives a usable opacity range
    return x.astype(np.float32)


def normal(tag, shape, salt=""):
    """Standard-normal float32 input called `tag`."""
    return np.asarray(_rng(salt + "@" + tag).standard_normal(tuple(shape))).astype(np.float32)


def uniform(tag, shape, salt=""):
    """Uniform [0,1) float32 input called `tag`."""
    return _rng(salt + "@" + tag).random(tuple(shape), dtype=np.float32)
