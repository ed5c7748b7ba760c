"""A training loses nothing: checkpoints are written whole, one run has a work_dir, a signal ends it after saving."""
