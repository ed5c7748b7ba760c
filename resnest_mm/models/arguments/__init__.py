"""The arguments of the backbone: resolved and checked before a layer is built."""
