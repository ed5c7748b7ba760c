"""The authors' cascade of box heads with a single mask head."""
