"""How good a generator is, in numbers that can be repeated: one family of metrics a file."""
