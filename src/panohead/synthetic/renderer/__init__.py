"""Images of synthetic heads: rasterizer, shading, lighting; Blender's Cycles as an alternative."""
