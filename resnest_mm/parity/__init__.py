"""Comparison of the backbone with the networks of other packages, by value."""
