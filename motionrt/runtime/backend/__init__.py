"""What runs a graph: the protocol, and one file for each way."""
