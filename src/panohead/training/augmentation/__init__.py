"""Adaptive discriminator augmentation (Karras et al., NeurIPS 2020): transforms, their probability, its control."""
