"""Torch modules: architecture only."""
