"""Metrics against people whose geometry is known."""
