"""Clothes and accessories of a synthetic head: garments, glasses, headscarves, hats."""
