"""Mask heads and mask branches of two-stage detectors."""
