"""Checkpoint files: read without running code, written completely or not at all."""
