"""The Kimodo family."""
