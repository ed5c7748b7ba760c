"""The logs that mmengine wrote into a work directory, read as one training."""
