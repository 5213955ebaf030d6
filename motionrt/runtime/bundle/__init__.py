"""A bundle on disk: its manifest, read and checked, and the one that comes with the package."""
