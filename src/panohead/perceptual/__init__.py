"""Frozen networks that look at pictures: definitions, and where their weights come from."""
