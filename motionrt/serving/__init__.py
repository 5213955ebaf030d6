"""Serving over HTTP: what guards every server of ours, and the servers themselves."""
