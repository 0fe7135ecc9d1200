"""Metrics against synthetic people whose geometry is known."""

__all__: list[str] = []
"""Nothing public: for use within this package."""
