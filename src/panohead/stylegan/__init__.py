"""StyleGAN2 building blocks: mapping, synthesis and discriminator trunk (Karras et al. 2020)."""
