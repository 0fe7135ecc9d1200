"""Where heads are searched, and where the search starts without an encoder."""

__all__: list[str] = []
"""Nothing public: for use within this package."""
