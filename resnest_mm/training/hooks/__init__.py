"""Hooks for the training loop."""
