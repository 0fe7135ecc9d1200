"""Compiler-free CPU kernels (numba) and their launchers; each steps aside for its plain PyTorch reference."""

__all__: list[str] = []
"""Nothing public: for use within this package."""
