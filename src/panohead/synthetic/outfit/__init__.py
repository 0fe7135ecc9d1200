"""What a synthetic head wears: clothes, glasses, headscarves, hats."""
