"""Records of the published weight files, and the record of a checkpoint name."""
