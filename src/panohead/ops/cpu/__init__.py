"""Compiler-free CPU kernels (numba) and their launchers; each steps aside for its plain PyTorch reference."""
