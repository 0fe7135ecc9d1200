"""The tri-grid and the volume renderer. Nothing here knows a network."""
