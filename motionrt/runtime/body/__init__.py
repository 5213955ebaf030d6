"""A body: its skeleton, rotations, motions, and what is computed of them."""
