"""Anchors and targets of the region proposal network."""
