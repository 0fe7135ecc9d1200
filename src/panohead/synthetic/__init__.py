"""A synthetic full-head dataset that anyone can render: random people, seen from all sides, with exact labels."""
