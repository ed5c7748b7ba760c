"""Conversion of backbones, detectors and segmentors between key layouts."""
