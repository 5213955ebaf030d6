"""ARDY: motion as a stream, made in windows that see what went before and goals beyond."""
