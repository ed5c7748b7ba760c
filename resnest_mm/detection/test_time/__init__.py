"""Test-time augmentation of detectors."""
