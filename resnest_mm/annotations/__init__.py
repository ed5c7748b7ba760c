"""Annotations of images: how they look in memory, how pipelines hand them on, and files that are made from others."""
