"""Images of synthetic heads: rasterizer, shading, lighting; Blender's Cycles as an alternative."""

__all__: list[str] = []
"""Nothing public: for use within this package."""
