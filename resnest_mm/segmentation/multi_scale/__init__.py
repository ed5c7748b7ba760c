"""The multi-scale sliding-window evaluation behind the published numbers."""
