"""Stage 1 of the paper's two-stage alignment: a photo to its crop, camera and mask (section 3.3)."""
