"""The arguments of the backbone: what is allowed, checked before a layer exists."""
