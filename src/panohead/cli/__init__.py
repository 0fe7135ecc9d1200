"""The command line: one small file a command. Parse, call, print."""

__all__: list[str] = []
"""Nothing public: for use within this package."""
