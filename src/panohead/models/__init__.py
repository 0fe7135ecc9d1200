"""The networks of PanoHead. Start with :mod:`panohead.models.generator`."""
