"""Trainings and tests of detectors and segmentors: from command-line arguments to a checked config for the Runner."""
