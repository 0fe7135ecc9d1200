"""PanoHead: whole 3D human heads, from a GAN that learned them from ordinary photos."""
