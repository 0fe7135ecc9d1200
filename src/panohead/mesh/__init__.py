"""Surfaces of heads: extracting, simplifying, coloring, texturing and writing them."""
