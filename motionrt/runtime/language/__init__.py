"""Language models: a graph that remembers what it has read, and tokens one after another."""
