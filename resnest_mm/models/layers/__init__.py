"""Layers that the bottlenecks are built from, and norms that the whole package uses."""
