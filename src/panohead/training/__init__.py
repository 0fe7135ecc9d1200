"""Training: from pictures to a generator."""
