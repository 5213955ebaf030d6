"""Readers of checkpoints: one file a source."""
