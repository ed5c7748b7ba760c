"""The authors' segmentation heads."""
