"""Color profiles made from published primaries, and what their colors are in sRGB by the textbook."""

import struct
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

D50 = np.array([0.9642, 1.0, 0.8249])
D65 = np.array([0.95047, 1.0, 1.08883])
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])


def srgb_to_linear(x: np.ndarray) -> np.ndarray:
    return np.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4)


def linear_to_srgb(x: np.ndarray) -> np.ndarray:
    x = np.clip(x, 0, 1)
    return np.where(x <= 0.0031308, 12.92 * x, 1.055 * x ** (1 / 2.4) - 0.055)


def adaptation(white: np.ndarray, to: np.ndarray) -> np.ndarray:
    """Bradford's matrix from one white to another."""
    return np.linalg.inv(_BRADFORD) @ np.diag((_BRADFORD @ to) / (_BRADFORD @ white)) @ _BRADFORD


@dataclass(frozen=True)
class Space:
    """An RGB color space: chromaticities of its primaries, white, and its curve to linear light."""

    name: str
    primaries: tuple[tuple[float, float], ...]
    white: np.ndarray
    to_linear: Callable[[np.ndarray], np.ndarray]

    def to_xyz_d50(self) -> np.ndarray:
        columns = np.array([[x / y, 1.0, (1 - x - y) / y] for x, y in self.primaries]).T
        return adaptation(self.white, D50) @ (columns * np.linalg.solve(columns, self.white))

    def in_srgb(self, pixels: np.ndarray) -> np.ndarray:
        """Bytes of this space as bytes of sRGB, colors outside of it clipped."""
        linear = self.to_linear(pixels / 255) @ (np.linalg.inv(SRGB.to_xyz_d50()) @ self.to_xyz_d50()).T
        return np.rint(linear_to_srgb(linear) * 255).astype(np.uint8)

    def profile(self) -> bytes:
        curve = np.rint(self.to_linear(np.linspace(0, 1, 4096)) * 65535).astype(">u2").tobytes()
        trc = b"curv" + bytes(4) + struct.pack(">I", 4096) + curve
        columns = zip((b"rXYZ", b"gXYZ", b"bXYZ"), self.to_xyz_d50().T, strict=True)
        tags = {
            b"desc": description(self.name), b"cprt": b"text" + bytes(4) + b"CC0\0", b"wtpt": xyz(D50),
            **{name: xyz(column) for name, column in columns},
            b"rTRC": trc, b"gTRC": trc, b"bTRC": trc,
        }  # fmt: skip
        return icc(b"mntr", b"RGB ", b"XYZ ", tags)


SRGB = Space("sRGB", ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06)), D65, srgb_to_linear)
DISPLAY_P3 = Space("Display P3", ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060)), D65, srgb_to_linear)
ADOBE_RGB = Space("Adobe RGB (1998)", ((0.64, 0.33), (0.21, 0.71), (0.15, 0.06)), D65, lambda x: x ** (563 / 256))
PROPHOTO = Space("ProPhoto RGB", ((0.7347, 0.2653), (0.1596, 0.8404), (0.0366, 0.0001)), D50, lambda x: x**1.8)


def gray_profile(gamma: float) -> bytes:
    curve = np.rint(np.linspace(0, 1, 4096) ** gamma * 65535).astype(">u2").tobytes()
    trc = b"curv" + bytes(4) + struct.pack(">I", 4096) + curve
    return icc(b"mntr", b"GRAY", b"XYZ ", {b"desc": description("Gray"), b"wtpt": xyz(D50), b"kTRC": trc})


def cmyk_profile(lab: Callable[[float, float, float, float], tuple[float, float, float]]) -> bytes:
    """A profile of a press by its colors at full and no ink, between which lcms interpolates."""
    corners = [lab(c, m, y, k) for c in (0, 1) for m in (0, 1) for y in (0, 1) for k in (0, 1)]
    table = b"".join(bytes((round(lightness * 2.55), round(a + 128), round(b + 128))) for lightness, a, b in corners)
    identity = np.eye(3).ravel()
    matrix = b"".join(struct.pack(">i", round(value * 65536)) for value in identity)
    line = bytes(range(256))
    lut = b"mft1" + bytes(4) + bytes((4, 3, 2, 0)) + matrix + line * 4 + table + line * 3
    tags = {b"desc": description("A press"), b"wtpt": xyz(D50), b"A2B0": lut, b"A2B1": lut}
    return icc(b"prtr", b"CMYK", b"Lab ", tags)


def lab_in_srgb(lightness: float, a: float, b: float) -> np.ndarray:
    f = np.array([(lightness + 16) / 116 + a / 500, (lightness + 16) / 116, (lightness + 16) / 116 - b / 200])
    linear = np.linalg.solve(SRGB.to_xyz_d50(), D50 * np.where(f > 6 / 29, f**3, 3 * (6 / 29) ** 2 * (f - 4 / 29)))
    return np.rint(linear_to_srgb(linear) * 255).astype(np.uint8)


def xyz(values: np.ndarray) -> bytes:
    return b"XYZ " + bytes(4) + b"".join(struct.pack(">i", round(float(value) * 65536)) for value in values)


def description(text: str) -> bytes:
    words = text.encode("ascii") + b"\0"
    return b"desc" + bytes(4) + struct.pack(">I", len(words)) + words + bytes(4 + 4 + 2 + 1 + 67)


def icc(device: bytes, space: bytes, connection: bytes, tags: dict[bytes, bytes]) -> bytes:
    """A profile, version 2.4 of the ICC's format."""
    at = 128 + 4 + 12 * len(tags)
    entries, body = b"", b""
    for name, data in tags.items():
        data += bytes(-len(data) % 4)
        entries += name + struct.pack(">II", at + len(body), len(data))
        body += data
    header = struct.pack(">I4sI4s4s4s", at + len(body), b"test", 0x02400000, device, space, connection)
    header += struct.pack(">6H", 2026, 1, 1, 0, 0, 0) + b"acsp" + bytes(28)
    header += b"".join(struct.pack(">i", round(value * 65536)) for value in D50)
    return header.ljust(128, b"\0") + struct.pack(">I", len(tags)) + entries + body
