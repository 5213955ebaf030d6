"""A student of few steps: a Kimodo denoiser taught to sample in four steps and one branch.

The deterministic sampler maps noise, words and constraints to one motion. The student is the same
network; it learns that map in few jumps, with guidance in its weights, from motions that the
teacher makes of noise: no data is needed.
"""
