"""Motion files: one reader and one writer a format."""
