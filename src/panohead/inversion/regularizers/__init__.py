"""What tuning must not lose: sides that no photo shows, the surface, symmetry where it is asked for."""

__all__: list[str] = []
"""Nothing public: for use within this package."""
