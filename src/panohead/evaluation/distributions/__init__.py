"""Distances between sets of images: FID, KID, sliced Wasserstein, precision and recall."""

__all__: list[str] = []
"""Nothing public: for use within this package."""
