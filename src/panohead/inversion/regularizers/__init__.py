"""Terms that hold what tuning must not lose: sides that no photo shows, the surface, symmetry on request."""

__all__: list[str] = []
"""Nothing public: for use within this package."""
