"""Records of the published weight files, and how a name finds its record."""
