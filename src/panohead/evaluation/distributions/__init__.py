"""Distances between sets of images: FID, KID, sliced Wasserstein, precision and recall."""
