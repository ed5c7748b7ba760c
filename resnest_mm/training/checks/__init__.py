"""Checks of a config before a run; none of them writes a file."""
