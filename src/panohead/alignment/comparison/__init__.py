"""Aligned crops and whole datasets compared with what their labels and masks say."""

__all__: list[str] = []
