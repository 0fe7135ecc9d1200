"""Clothes and accessories of a synthetic head: garments, glasses, headscarves, hats."""

__all__: list[str] = []
"""Nothing public: for use within this package."""
