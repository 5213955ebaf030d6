"""Training of projectors and of the embedded default model."""
