"""The runtime: bundles in, motions out; never torch."""
