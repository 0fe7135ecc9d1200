"""Hair as strands: a distance field of the head, growth along it, and one small function per style."""

__all__: list[str] = []
"""Nothing public: for use within this package."""
