"""The embedded default: from captioned motion folders to a small Kimodo checkpoint and bundle."""
