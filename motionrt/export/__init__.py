"""Export: torch checkpoints in, bundles out."""
