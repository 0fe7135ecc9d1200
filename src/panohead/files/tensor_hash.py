"""Hash of named tensors, by which files of weights are checked and networks told apart."""

import hashlib
from collections.abc import Mapping

import torch
from torch import Tensor


def tensors_sha256(tensors: Mapping[str, Tensor], head: str = "") -> str:
    """Return the SHA-256 of a text and of all names, types, shapes and values, in the order of the names.

    Args:
        tensors: on the CPU.
        head: text that is hashed before them.
    """
    digest = hashlib.sha256(head.encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
