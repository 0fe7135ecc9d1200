"""Fit a generator and an attribute encoder to synthetic people by regression: every view of every person is known."""
