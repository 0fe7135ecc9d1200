"""The multi-view warm start: a generator fitted to rendered heads before adversarial training."""
