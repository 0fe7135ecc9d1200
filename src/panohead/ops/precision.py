"""Precision of a GPU: one switch for inference, evaluation, reconstruction and training.

"parity": float32 products in full (TensorFloat-32 off, as in the original's tools), so that images equal the CPU's and
the original's to rounding. Half precision remains where a generator's own config has it: super-resolution of official
models, as in the original.

"speed": TensorFloat-32 products (10 bits of mantissa instead of 23), and :func:`use_half_precision` for the 2-D
networks of a loaded generator. On a CPU the two are the same.
"""

from typing import Literal

import torch

Precision = Literal["parity", "speed"]


def set_precision(precision: Precision, *, fixed_shapes: bool = False) -> None:
    """Set how this process multiplies on GPUs.

    Args:
        precision: see this module.
        fixed_shapes: let cuDNN time its algorithms for every new shape and keep the fastest: pays off where few shapes
            recur often. Which algorithm wins can differ from run to run, and with it the rounding.
    """
    matmul = torch.backends.cuda.matmul
    matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = precision == "speed"
    # Sums of half-precision products always in float32.
    matmul.allow_fp16_reduced_precision_reduction = matmul.allow_bf16_reduced_precision_reduction = False
    torch.backends.cudnn.benchmark = fixed_shapes
