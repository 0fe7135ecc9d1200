"""The binary part of a GLB file: buffer views and accessors."""

from typing import Any

import numpy as np
from jaxtyping import Float, Int

COMPONENTS = {"<f4": 5126, "<u4": 5125, "<u2": 5123}
VERTICES, INDICES = 34962, 34963
TYPES = {1: "SCALAR", 2: "VEC2", 3: "VEC3", 4: "VEC4"}


class Binary:
    """The binary part of a file: buffer views one after another, each beginning at a multiple of four bytes."""

    def __init__(self) -> None:
        self.content = bytearray()
        self.views: list[dict[str, Any]] = []
        self.accessors: list[dict[str, Any]] = []

    def add(self, data: bytes, target: int | None = None) -> int:
        """Append bytes as a buffer view and return its index."""
        view: dict[str, Any] = {"buffer": 0, "byteOffset": len(self.content), "byteLength": len(data)}
        self.views.append(view if target is None else view | {"target": target})
        self.content += data + bytes(-len(data) % 4)
        return len(self.views) - 1

    def add_array(self, values: np.ndarray, target: int = VERTICES, bounds: bool = False) -> int:
        """Append an array as an accessor, on request with its extent, and return its index.

        Integers for vertices are normalized: their largest value stands for 1.
        """
        flat = values.reshape(len(values), -1)
        accessor: dict[str, Any] = {
            "bufferView": self.add(np.ascontiguousarray(values).tobytes(), target),
            "componentType": COMPONENTS[values.dtype.str],
            "count": len(values),
            "type": TYPES[flat.shape[1]],
        }
        if target == VERTICES and values.dtype.kind == "u":
            accessor["normalized"] = True
        if bounds:
            accessor |= {"min": flat.min(axis=0).tolist(), "max": flat.max(axis=0).tolist()}
        self.accessors.append(accessor)
        return len(self.accessors) - 1

    def add_values(self, values: np.ndarray, bounds: bool = False) -> int:
        """Append floats that are no vertices (times, weights) as an accessor and return its index."""
        flat = values.reshape(len(values), -1)
        accessor: dict[str, Any] = {
            "bufferView": self.add(np.ascontiguousarray(values.astype("<f4")).tobytes()),
            "componentType": COMPONENTS["<f4"],
            "count": len(values),
            "type": TYPES[flat.shape[1]],
        }
        if bounds:
            accessor |= {"min": flat.min(axis=0).tolist(), "max": flat.max(axis=0).tolist()}
        self.accessors.append(accessor)
        return len(self.accessors) - 1

    def add_sparse(
        self, count: int, places: Int[np.ndarray, " changed"], values: Float[np.ndarray, "changed 3"], bounds: bool
    ) -> int:
        """Append an accessor of ``count`` vectors that are zero but in some places, and return its index.

        Args:
            count: number of vectors.
            places: their indices, rising.
            values: the vectors there.
            bounds: state the extent of all.
        """
        accessor: dict[str, Any] = {"componentType": COMPONENTS["<f4"], "count": count, "type": "VEC3"}
        if bounds:
            whole = np.concatenate([values.astype("<f4"), np.zeros((int(len(values) < count), 3), "<f4")])
            accessor |= {"min": whole.min(axis=0).tolist(), "max": whole.max(axis=0).tolist()}
        if len(places):
            narrow = "<u2" if count <= 65536 else "<u4"
            accessor["sparse"] = {
                "count": len(places),
                "indices": {
                    "bufferView": self.add(places.astype(narrow).tobytes()), "componentType": COMPONENTS[narrow]
                },
                "values": {"bufferView": self.add(np.ascontiguousarray(values.astype("<f4")).tobytes())},
            }  # fmt: skip
        self.accessors.append(accessor)
        return len(self.accessors) - 1
