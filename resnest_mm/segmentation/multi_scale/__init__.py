"""The multi-scale sliding-window evaluation of the published results."""
