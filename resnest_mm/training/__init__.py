"""What `tools/train.py` and `tools/test.py` do before the Runner starts, for detectors and segmenters alike."""
