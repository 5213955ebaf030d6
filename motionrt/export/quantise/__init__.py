"""Fewer bits for a graph's weights: which, how they are rounded and put in, and what it costs.

Every part is named by who needs it: the recipes load without torch and onnx.
"""
