"""Read motions from files, one file per format."""
