"""Annotation files: made from one another."""
