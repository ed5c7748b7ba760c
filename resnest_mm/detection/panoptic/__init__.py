"""The authors' Panoptic FPN."""
