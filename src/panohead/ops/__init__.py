"""The arithmetic under the networks: plain PyTorch references, with fast paths beside them."""
