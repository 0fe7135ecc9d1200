"""Coordinates in which heads are searched, and starts without an encoder."""

__all__: list[str] = []
"""Nothing public: for use within this package."""
