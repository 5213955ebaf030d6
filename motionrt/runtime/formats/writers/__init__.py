"""Write motions to files, one file per format."""
