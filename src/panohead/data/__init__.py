"""Photos with masks and cameras, in the official layout: reading, filtering, order."""
