"""The authors' cascade of box heads with one mask head."""
