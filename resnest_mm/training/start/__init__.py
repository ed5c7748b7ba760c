"""The checkpoint that a run starts from, and the check that it suits the model and the classes."""
