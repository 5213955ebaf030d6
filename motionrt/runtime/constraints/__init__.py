"""Constraints: what they are, and the files that hold them."""
