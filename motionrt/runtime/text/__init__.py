"""Text on its way to a model: prompts, tokens, and where embeddings come from."""
