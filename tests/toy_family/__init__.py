"""A third family, to see that one is new files and one row: bodies that bob up and down."""
