"""Metrics against synthetic people whose geometry is known."""
