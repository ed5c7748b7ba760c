"""Trainings and tests of detectors and segmenters: from command-line arguments to a checked config for the Runner."""
